//! What the product says in its log, as lines of the trace: alarms are part of what is judged.
//!
//! One subscriber for the program; each run tells it, for its thread, where lines go and counts alarms.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber, subscriber};

use crate::trace::Trace;

static INSTALLED: Once = Once::new();

thread_local! {
    static RUN: RefCell<Option<Heard>> = const { RefCell::new(None) };
}

struct Heard {
    trace: Trace,
    alarms: BTreeMap<String, u64>,
}

/// From now on warnings and errors of this thread are lines of `trace`.
pub fn listen(trace: &Trace) {
    INSTALLED.call_once(|| {
        // Somebody else's subscriber stays: then there are no such lines.
        let _ = subscriber::set_global_default(Lines);
    });
    RUN.set(Some(Heard { trace: trace.clone(), alarms: BTreeMap::new() }));
}

/// Alarms since [`listen`], by their words; nothing is heard any more.
pub fn alarms() -> BTreeMap<String, u64> {
    RUN.take().map(|heard| heard.alarms).unwrap_or_default()
}

struct Lines;

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("sterna")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        RUN.with_borrow_mut(|heard| {
            let Some(heard) = heard else { return };
            let mut said = Said::default();
            event.record(&mut said);
            let level = event.metadata().level();
            heard.trace.line("log", level.as_str(), format_args!("{}{}", said.message, said.fields));
            if said.message.starts_with("alarm") {
                *heard.alarms.entry(said.message).or_default() += 1;
            }
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
