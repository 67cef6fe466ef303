//! `Mine`: the streams that a user is a member of, by name or the most recently active first
//! (docs/protocol.md, rule 6 and section 9).
//!
//! Candidates come from persistence's index, which knows every stream that a member event of the user's was
//! ever put into; who is a member is decided by the stream's fold. A fold that says no is made again before
//! it is believed, because it may be a second old and the user just added.

use sterna_access::members::stored::StoredEvents;
use sterna_access::members::{Folds, payload};
use sterna_process::Link;
use sterna_proto::v1::persistence_client::PersistenceClient;
use sterna_proto::{refusal, v1};
use sterna_stream::limits::{MINE_CANDIDATES, MINE_PAGE_CANDIDATES, MINE_STREAMS};
use sterna_stream::member::Role;
use sterna_stream::{Reason, Refusal, StreamId, UserId};

/// Candidates whose heads are read at once.
const HEADS_AT_ONCE: usize = 250;

/// Reads users' streams.
#[derive(Clone)]
pub struct Mine {
    persistence: PersistenceClient<Link>,
    folds: std::sync::Arc<Folds<StoredEvents>>,
}

struct Candidate {
    stream: StreamId,
    head: v1::StreamHead,
}

impl Mine {
    /// Over the persistence behind `link`.
    pub fn new(link: Link) -> Self {
        let folds = std::sync::Arc::new(Folds::new(StoredEvents::new(link.clone())));
        Self { persistence: PersistenceClient::new(link), folds }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// `bad_request`, or the table's refusal.
    pub async fn answer(&self, request: v1::MineRequest) -> Result<v1::MineAnswer, Refusal> {
        let malformed = || Reason::BadRequest.because("not a request for a user's streams");
        let user: UserId = request.user.parse().map_err(|_| malformed())?;
        let limit = match request.limit as usize {
            0 => MINE_STREAMS,
            limit => limit.min(MINE_STREAMS),
        };
        if !request.newest {
            return self.by_name(&request, &user, limit).await;
        }
        match request.after.is_empty() {
            true => self.newest(&request, &user, limit).await,
            false => Err(malformed()),
        }
    }

    async fn by_name(
        &self,
        request: &v1::MineRequest,
        user: &UserId,
        limit: usize,
    ) -> Result<v1::MineAnswer, Refusal> {
        let (names, more) = self.touched(request, request.after.clone(), MINE_PAGE_CANDIDATES).await?;
        let last = names.last().cloned().unwrap_or_default();
        let mut answer = v1::MineAnswer::default();
        for names in names.chunks(HEADS_AT_ONCE) {
            for candidate in self.heads(names).await? {
                if answer.streams.len() == limit {
                    answer.next = answer.streams.last().map(|mine| mine.stream.clone()).unwrap_or_default();
                    return Ok(answer);
                }
                match self.member(user, candidate).await {
                    Ok(mine) => answer.streams.extend(mine),
                    Err(stream) => answer.unknown.push(stream),
                }
            }
        }
        if more {
            answer.next = last;
        }
        Ok(answer)
    }

    async fn newest(
        &self,
        request: &v1::MineRequest,
        user: &UserId,
        limit: usize,
    ) -> Result<v1::MineAnswer, Refusal> {
        let (names, more) = self.touched(request, String::new(), MINE_CANDIDATES).await?;
        let mut candidates = Vec::with_capacity(names.len());
        for names in names.chunks(HEADS_AT_ONCE) {
            candidates.extend(self.heads(names).await?);
        }
        candidates.sort_by(|a, b| b.head.max_hlc.cmp(&a.head.max_hlc).then_with(|| a.stream.cmp(&b.stream)));
        let mut answer = v1::MineAnswer::default();
        for candidate in candidates {
            let mine = match self.member(user, candidate).await {
                Ok(Some(mine)) => mine,
                Ok(None) => continue,
                Err(stream) => {
                    answer.unknown.push(stream);
                    continue;
                }
            };
            if answer.streams.len() == limit {
                answer.next = mine.stream;
                return Ok(answer);
            }
            answer.streams.push(mine);
        }
        if more {
            answer.next = names.last().cloned().unwrap_or_default();
        }
        Ok(answer)
    }

    /// At most so many candidates behind `after`, and whether there are more.
    async fn touched(
        &self,
        request: &v1::MineRequest,
        mut after: String,
        most: usize,
    ) -> Result<(Vec<String>, bool), Refusal> {
        let mut names = Vec::new();
        loop {
            let page = v1::TouchedRequest {
                tenant: request.tenant.clone(),
                user: request.user.clone(),
                kind: request.kind.clone(),
                after,
                limit: u32::try_from(most - names.len()).unwrap_or(u32::MAX),
            };
            let answer = self.persistence.clone().touched(page).await;
            let page = answer.map_err(|status| refusal::from_status(&status))?.into_inner();
            names.extend(page.streams);
            if !page.more || names.len() >= most {
                return Ok((names, page.more));
            }
            after = names.last().cloned().unwrap_or_default();
        }
    }

    async fn heads(&self, names: &[String]) -> Result<Vec<Candidate>, Refusal> {
        let request = v1::HeadsRequest { streams: names.to_vec(), ..Default::default() };
        let answer = self.persistence.clone().heads(request).await;
        let heads = answer.map_err(|status| refusal::from_status(&status))?.into_inner().heads;
        let candidate = |(name, head): (&String, v1::StreamHead)| {
            let stream = name.parse().map_err(|_| Reason::Internal.because("the index names no stream"))?;
            Ok(Candidate { stream, head })
        };
        names.iter().zip(heads).map(candidate).collect()
    }

    /// The candidate, if the user is a member; its name, if nobody can say now, which costs the others
    /// nothing.
    async fn member(&self, user: &UserId, candidate: Candidate) -> Result<Option<v1::MyStream>, String> {
        let Candidate { stream, head } = candidate;
        let role = self.role(user, &stream).await.map_err(|refusal| {
            tracing::warn!(%stream, reason = refusal.reason.code(), "a stream's members cannot be read");
            stream.to_string()
        })?;
        let mine = |role| v1::MyStream {
            stream: stream.to_string(),
            role: payload::name(role).to_owned(),
            head: head.head,
            newest: head.max_hlc,
        };
        Ok(role.map(mine))
    }

    async fn role(&self, user: &UserId, stream: &StreamId) -> Result<Option<Role>, Refusal> {
        let role = self.folds.of(stream).await?.members.role_of(user);
        if role.is_some() {
            return Ok(role);
        }
        self.folds.passed(stream);
        Ok(self.folds.of(stream).await?.members.role_of(user))
    }
}
