//! A shard's service among fakes: every stream of the other roles ends in the test's hands, time is paused.

use std::sync::Arc;

use sterna_access::GrantKey;
use sterna_gateway::gateway::{Config, Gateway, Parts};
use sterna_gateway::limits::Limits;
use sterna_gateway::outward::Links;
pub(crate) use sterna_process::paused as run;
use sterna_process::{Clock, ManualClock, Process};
use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;
use sterna_protocol::Limits as Terms;
use sterna_stream::{EventId, Segment, StreamId, created};
use tokio::io::DuplexStream;

use crate::access::{Access, Tokens};
use crate::fakes::{Call, Calls, Shelf, fakes};
use crate::person::Person;

pub(crate) const NOW: u64 = 1_795_214_400_000;

/// What a test may set before the shard starts.
pub(crate) struct Setup {
    pub(crate) terms: Terms,
    pub(crate) limits: Limits,
    pub(crate) states: usize,
}

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) process: Process,
    pub(crate) gateway: Gateway<DuplexStream>,
    pub(crate) access: Arc<Access>,
    /// Calls that the shard makes, per instance and role.
    pub(crate) attaching: Vec<Calls<v1::AttachUp, v1::AttachDown>>,
    pub(crate) commanding: Calls<v1::PublishUp, v1::PublishDown>,
    pub(crate) asking: Calls<v1::Ask, v1::Page>,
    /// The streams of the first state instance, of messaging and of notification that are open now.
    pub(crate) state: Call<v1::AttachUp, v1::AttachDown>,
    pub(crate) messaging: Call<v1::PublishUp, v1::PublishDown>,
    pub(crate) notification: Call<v1::Ask, v1::Page>,
    pub(crate) shelf: Shelf,
    pub(crate) pushed: u64,
    minted: u128,
}

impl Default for Setup {
    fn default() -> Self {
        Self { terms: Terms::default(), limits: Limits::default(), states: 1 }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let clock = ManualClock::new(NOW);
        let others = Process::new("others", 1, Arc::new(clock.clone()));
        let process = Process::new("gateway", 1, Arc::new(clock.clone()));
        let access = Arc::new(Access::new(Arc::new(clock.clone())));
        let (mut states, mut attaching) = (Vec::new(), Vec::new());
        let (mut messaging, mut commanding, mut notification, mut asking) = (None, None, None, None);
        let mut shelf = None;
        for _ in 0..setup.states {
            let fakes = fakes(&others);
            states.push(fakes.link.clone());
            attaching.push(fakes.attaching);
            messaging.get_or_insert(fakes.link.clone());
            notification.get_or_insert(fakes.link);
            commanding.get_or_insert(fakes.commanding);
            asking.get_or_insert(fakes.asking);
            shelf.get_or_insert(fakes.shelf);
        }
        let links = Links {
            state: states,
            messaging: messaging.into_iter().collect(),
            notification: notification.clone().unwrap(),
            persistence: notification.unwrap(),
        };
        let parts = Parts {
            process: process.clone(),
            verifier: Arc::new(Tokens),
            authorizer: access.clone(),
            grant_key: GrantKey::new(b"a secret of tests"),
            links,
        };
        let config = Config {
            name: "gateway-0".into(),
            region: "us".parse().unwrap(),
            origin: "us".parse().unwrap(),
            partitions: 4,
            terms: setup.terms,
            endpoints: Vec::new(),
            limits: setup.limits,
            clock_bound_ms: 300_000,
            mirrored: true,
        };
        let gateway = Gateway::start(config, parts);
        let (mut commanding, mut asking) = (commanding.unwrap(), asking.unwrap());
        let mut state = attaching[0].next().await;
        state.up().await;
        let (messaging, notification) = (commanding.next().await, asking.next().await);
        Self {
            clock,
            process,
            gateway,
            access,
            attaching,
            commanding,
            asking,
            state,
            messaging,
            notification,
            shelf: shelf.unwrap(),
            pushed: 0,
            minted: 0,
        }
    }

    pub(crate) fn id(&mut self) -> EventId {
        self.minted += 1;
        EventId::mint(self.clock.wall_ms(), self.minted)
    }

    /// A stream of ana's, with bo, cy and dee as writers.
    pub(crate) fn stream(&mut self) -> StreamId {
        let id = self.id();
        let stream = created::stream("acme", "chat", &"ana".parse().unwrap(), id).unwrap();
        self.access.create(&stream, id);
        stream
    }

    /// Somebody whose hello was accepted.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let mut person = Person::connect(&self.gateway);
        person.hello(&format!("{name}@{}", self.clock.wall_ms() + 3_600_000)).await;
        assert_eq!(person.frame().await.name(), "welcome");
        person
    }

    /// State says that a stream is at `head`.
    pub(crate) async fn joined(&mut self, stream: &StreamId, head: &str) {
        self.state.joined(&mut self.pushed, stream, head).await;
    }

    pub(crate) async fn push(&mut self, segment: &Segment) {
        self.state.push(&mut self.pushed, segment).await;
    }

    /// State says that another region has everything of partition 0 below an offset.
    pub(crate) async fn covered(&mut self, below: u64) {
        let covered = v1::Covered { partition: 0, incarnation: 1, below };
        self.state.tell(&mut self.pushed, What::Covered(covered)).await;
    }

    /// Messaging takes one command, whose record stands at this offset.
    pub(crate) async fn accept_at(&mut self, offset: u64) {
        let command = self.messaging.up().await;
        self.messaging.accept_at(command.tag, offset).await;
    }

    /// Messaging takes one command.
    pub(crate) async fn accept(&mut self) -> v1::PublishUp {
        let command = self.messaging.up().await;
        self.messaging.accept(command.tag).await;
        command
    }

    /// `person` follows `stream`, which nobody here followed before, and is live at its end, `head`.
    pub(crate) async fn live(&mut self, person: &mut Person, stream: &StreamId, head: &str) {
        person.subscribe(stream, head).await;
        assert_eq!(self.state.followed().await, [stream.to_string()]);
        self.joined(stream, head).await;
        assert_eq!(person.frame().await.name(), "subscribed");
    }

    /// State attaches the shard once more.
    pub(crate) async fn attached(&mut self) {
        self.state = self.attaching[0].next().await;
        self.pushed = 0;
    }
}
