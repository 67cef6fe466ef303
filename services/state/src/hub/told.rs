//! What a shard is told beside segments: who is there, whose members changed, which session ends.

use sterna_proto::v1;
use sterna_proto::v1::attach_down::What;

use super::{Hub, ShardId};

impl Hub {
    /// The shard behind an attachment said its name.
    pub fn named(&mut self, id: ShardId, name: String) {
        if let Some(shard) = self.shards.get_mut(&id) {
            shard.name = name;
        }
    }

    /// The name of the shard behind an attachment; empty until it said so.
    pub fn name_of(&self, id: ShardId) -> String {
        self.shards.get(&id).map(|shard| shard.name.clone()).unwrap_or_default()
    }

    /// A session of `gateway` is to be closed with this code. Of a gateway that is not attached it is
    /// nothing: its sessions are closed already, or judged again when it renews them.
    pub fn end_session(&mut self, gateway: &str, session: &str, code: u32) {
        let attached = self.shards.iter().filter(|(_, shard)| shard.name == gateway);
        let ids: Vec<ShardId> = attached.map(|(id, _)| *id).collect();
        let session = session.strip_prefix(gateway).and_then(|rest| rest.strip_prefix('-'));
        for id in ids {
            let session = session.unwrap_or_default().to_owned();
            self.send(id, What::End(v1::EndSession { session, code }));
        }
    }

    /// Tells a shard who is in a stream. `false`: it was not told, because its queue is half full (E19).
    pub fn presence(&mut self, id: ShardId, presence: &v1::Presence) -> bool {
        if self.shards.get(&id).is_some_and(|shard| shard.queue.capacity() * 2 < self.push_queue) {
            self.counters.shed += 1;
            return false;
        }
        self.send(id, What::Presence(presence.clone()));
        true
    }

    /// Member events of a stream were consumed: told to every shard, because whoever was added follows it
    /// nowhere yet (docs/protocol.md, rule 6).
    pub fn members_changed(&mut self, changed: &v1::MembersChanged) {
        let ids: Vec<ShardId> = self.shards.keys().copied().collect();
        for id in ids {
            self.send(id, What::Members(changed.clone()));
        }
    }
}
