//! What is settled and old: judged once, counted, and forgotten.
//!
//! Events are forgotten in the order of their labels, so that one number says which are: whatever is shown of
//! them later is shown again. Taking such a one off a screen, as a later twin, is not noticed any more.

use super::{Answer, Label, Ledger, Verdict};

/// What became of the events that were forgotten.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// All up to this one.
    upto: Label,
    verdict: Verdict,
}

impl Settled {
    /// Whether it is one of them; then it is counted as shown again.
    pub(super) fn shown_again(&mut self, label: Label) -> bool {
        let again = label <= self.upto && self.upto > 0;
        self.verdict.shown_twice += u64::from(again);
        again
    }

    pub(super) fn sent(&self) -> usize {
        usize::try_from(self.verdict.sent).unwrap_or(usize::MAX)
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }
}

impl Ledger {
    /// Judges and forgets the oldest events while there are more than `kept`, up to the first that is not
    /// settled: that has no answer yet, or is not on every screen.
    pub(super) fn forget(&mut self, kept: usize) {
        while self.events.len() > kept {
            let Some((&label, sent)) = self.events.first_key_value() else { return };
            let is_open = sent.answer == Answer::None || (sent.answer == Answer::Acked && sent.missing > 0);
            if is_open {
                return;
            }
            self.judge(label);
        }
    }

    fn judge(&mut self, label: Label) {
        let Some(sent) = self.events.remove(&label) else { return };
        let verdict = &mut self.settled.verdict;
        self.settled.upto = label;
        verdict.sent += 1;
        verdict.judged_early += 1;
        verdict.safe += u64::from(sent.safe);
        match sent.answer {
            Answer::None => verdict.unanswered += 1,
            Answer::Refused => verdict.refused += 1,
            Answer::Unsaved => verdict.unsaved += 1,
            Answer::Acked => verdict.acked += 1,
        }
        let Some(room) = self.rooms.get_mut(&sent.room) else { return };
        let mut elsewhere = false;
        for screen in room.devices.values_mut() {
            let times = screen.times.remove(&label).unwrap_or(0);
            verdict.delivered += u64::from(times > 0);
            verdict.shown_twice += u64::from(times.saturating_sub(1));
            verdict.lost += u64::from(times == 0 && sent.answer == Answer::Acked);
            let there = sent.place.as_ref().and_then(|place| screen.shown.remove(place));
            elsewhere |= times > 0 && there != Some(label);
        }
        verdict.reordered += u64::from(elsewhere);
    }
}
