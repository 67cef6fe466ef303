//! When a state instance that says nothing is given up (E16): a shard that it does not tell of its streams
//! must not wait for it for good.
//!
//! Pure. What counts is an answer to a question; other words do not. An instance that takes no more wishes
//! is silent too, whatever these are: it will not be asked anything.

use sterna_proto::v1::attach_up::What;

/// The silence of one instance, from attachment to attachment.
#[derive(Debug)]
pub(super) struct Silence {
    /// Turns of silence after which the instance is given up.
    most: u32,
    /// Turns since the first question that was not answered, or since a wish was taken while others wait.
    turns: u32,
    /// A question is open.
    asked: bool,
}

/// The instance answered nothing for so long, or took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    /// What it was asked.
    Answers,
    /// What waits for it.
    Takes,
}

impl Silence {
    pub(super) fn of(most: u32) -> Self {
        Self { most, turns: 0, asked: false }
    }

    /// The instance took this wish.
    pub(super) fn taken(&mut self, wish: &What) {
        if !self.asked {
            self.turns = 0;
            self.asked = matches!(wish, What::Follow(_) | What::Compare(_));
        }
    }

    /// It answered a question.
    pub(super) fn answered(&mut self) {
        (self.turns, self.asked) = (0, false);
    }

    /// A turn passes, at whose end wishes wait or none do.
    pub(super) fn turn(&mut self, wishes_wait: bool) -> Result<(), Silent> {
        self.turns = if self.asked || wishes_wait { self.turns + 1 } else { 0 };
        match (self.turns > self.most, self.asked) {
            (false, _) => Ok(()),
            (true, true) => Err(Silent::Answers),
            (true, false) => Err(Silent::Takes),
        }
    }
}

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answers => "it answers neither what was asked of streams nor a comparison of heads",
            Self::Takes => "it takes no more wishes",
        })
    }
}

#[cfg(test)]
mod tests {
    use sterna_proto::v1;

    use super::*;

    const MOST: u32 = 30;

    fn question() -> What {
        What::Compare(v1::Heads::default())
    }

    /// What the turns until the instance is given up come to, at most so many.
    fn given_up(silence: &mut Silence, wishes_wait: bool) -> Option<(u32, Silent)> {
        (1..=3 * MOST).find_map(|turn| silence.turn(wishes_wait).err().map(|silent| (turn, silent)))
    }

    /// E16: an instance that was asked and says nothing is given up; one that was not asked is not.
    #[test]
    fn silence_counts_only_after_a_question() {
        let mut silence = Silence::of(MOST);
        silence.taken(&What::Unfollow(v1::Streams::default()));
        assert_eq!(given_up(&mut silence, false), None);
        silence.taken(&question());
        assert_eq!(given_up(&mut silence, false), Some((MOST + 1, Silent::Answers)));
    }

    /// E16: questions asked since do not begin the silence anew; an answer does.
    #[test]
    fn an_answer_ends_silence_and_another_question_does_not() {
        let mut silence = Silence::of(MOST);
        silence.taken(&question());
        for _ in 0..MOST {
            assert_eq!(silence.turn(false), Ok(()));
            silence.taken(&question());
        }
        silence.answered();
        assert_eq!(silence.turn(false), Ok(()), "nothing is open any more");
        silence.taken(&What::Follow(v1::Streams::default()));
        assert_eq!(given_up(&mut silence, false), Some((MOST + 1, Silent::Answers)));
    }

    /// E16: an instance that takes no more wishes is given up, although none of those that it took was a
    /// question; one that takes them slowly is not.
    #[test]
    fn an_instance_that_takes_no_wishes_is_silent() {
        let mut silence = Silence::of(MOST);
        for _ in 0..2 * MOST {
            assert_eq!(silence.turn(true), Ok(()));
            silence.taken(&What::Opened(v1::SessionRows::default()));
        }
        assert_eq!(given_up(&mut silence, true), Some((MOST + 1, Silent::Takes)));
    }
}
