//! `tidewheel replay --as-recorded`: history exactly as it happened, from a lake alone.

use super::replay::{ProgressLine, ROWS_WAITING, ReplayArgs, cores};
use super::{CommandError, summary};
use crate::engine::{self, MergedTick};
use crate::outbox::{LakeOutput, Outbox};
use crate::recorded::{Recorded, RecordedError};
use crate::status::Status;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tidewheel_connectors::lake;
use tidewheel_connectors::source::Progress;
use tidewheel_operators::intake::tick_time_ns;
use tidewheel_schemas::Counters;

impl ReplayArgs {
    /// Makes the ticks of a live run again and publishes what they published.
    pub(super) fn run_as_recorded(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let [input] = &self.input[..] else {
            return Err(CommandError::Usage("--as-recorded reads one lake: give --input its folder".to_owned()));
        };
        let input = Path::new(input);
        let is_same =
            |root: &Path| root.canonicalize().ok().is_some_and(|root| input.canonicalize().ok() == Some(root));
        if self.lake.as_deref().is_some_and(is_same) {
            return Err(CommandError::Usage("--lake is the lake that is read: choose another folder".to_owned()));
        }
        let mut recorded = Recorded::open(input, self.state.as_deref())?;
        recorded.require_all()?;
        self.registry.iter().for_each(|registry| recorded.load_models_from(registry));
        let settings = recorded.settings().clone();
        let sources = recorded.sources().to_vec();
        let tables = recorded.tables();
        let kafka = self.kafka.as_ref();
        let kafka =
            kafka.map(|brokers| self.open_kafka(brokers, &settings.intervals, &tables, sources.clone())).transpose()?;
        let lake = self.lake.as_ref();
        let lake = lake.map(|root| self.open_lake(root, &settings.intervals, &tables, sources)).transpose()?;
        let mut status = Status::new(&settings.intervals);
        status.set_tables(&tables);
        let status = Arc::new(status);
        let lake = lake.map(|lake| LakeOutput {
            lake,
            every: None,
            run: "as-recorded".to_owned(),
            max_waiting_rows: ROWS_WAITING,
        });
        let outbox = Outbox::of_replay(kafka, lake, Arc::clone(&status));
        let workers = self.workers.unwrap_or_else(cores);
        let (mut engine, outputs) = engine::start(workers, &recorded.pipeline(self.archive), None)?;
        let range_ns = self.from.unwrap_or(i64::MIN)..self.to.unwrap_or(i64::MAX);
        let published = range_ns.clone();
        let writer = std::thread::Builder::new()
            .name("outbox".to_owned())
            .spawn(move || outbox.run(outputs.map(|tick| only_within(tick, &published))));
        let writer = writer.map_err(|error| CommandError::Usage(format!("could not start a thread: {error}")))?;
        let progress = ProgressLine::start(self.quiet);
        let total = recorded.archived();
        let made = make(&mut recorded, range_ns.end, |recorded, tick| {
            progress.show(|| Progress { done: recorded.records().min(total), total }, &status);
            engine.send(tick)
        });
        engine.finish();
        progress.finish();
        let counters = writer.join().expect("a panic aborts the process")?;
        made?;
        let mut text = summary::counts(&counters) + &summary::published(&status);
        let is_whole = self.to.is_none();
        let verdict = if is_whole { verdict(&counters, &recorded.lake().progress.counters) } else { Ok(String::new()) };
        match &verdict {
            Ok(told) | Err(told) => text += told,
        }
        if let Some(root) = &self.lake {
            text += &summary::lake(root, &lake::read::manifest(root)?);
        }
        // Whoever closed our output does not want to read it.
        let _ = out.write_all(text.as_bytes());
        Ok(if verdict.is_ok() && counters.reconcile() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Hands out all ticks before a time. A damaged file ends it before anything that depends on it is handed out.
fn make(
    recorded: &mut Recorded,
    end_ns: i64,
    mut send: impl FnMut(&Recorded, engine::TickInput) -> std::ops::ControlFlow<()>,
) -> Result<(), RecordedError> {
    loop {
        let tick = recorded.next_tick();
        if let Some(damage) = recorded.damages().first() {
            return Err(RecordedError::Damaged { damage: damage.clone() });
        }
        match tick? {
            Some(tick) if tick_time_ns(tick.header.tick) < end_ns => {
                if send(recorded, tick).is_break() {
                    break;
                }
            }
            _ => break,
        }
    }
    Ok(())
}

/// What a tick publishes: nothing outside the range. It was computed all the same, because what follows depends on it.
fn only_within(mut tick: MergedTick, range_ns: &Range<i64>) -> MergedTick {
    if !range_ns.contains(&tick_time_ns(tick.output.tick)) {
        let output = &mut tick.output;
        (output.bars, output.rows, output.late, output.rejects) = Default::default();
        (output.accepted, output.amendments, output.market, output.account) = Default::default();
        tick.open_bars.clear();
    }
    tick
}

/// Holds the counts against those of the run. What was a duplicate or waits for its trade is not in the lake.
fn verdict(found: &Counters, of_run: &Counters) -> Result<String, String> {
    let number = summary::number;
    let kept = |counters: &Counters| {
        let Counters { accepted, late, rejected, amended, outside_bars, rejected_by_reason, .. } = counters.clone();
        (accepted, late, rejected, amended, outside_bars, rejected_by_reason)
    };
    if kept(found) == kept(of_run) && (found.duplicate, found.pending) == (0, 0) {
        return Ok(format!(
            "as the run counted; its {} duplicates and {} waiting amendments are not in the lake\n",
            number(of_run.duplicate),
            number(of_run.pending),
        ));
    }
    Err(format!(
        "NOT AS THE RUN COUNTED: accepted {} + late {} + rejected {}; the lake's input is not all that came in, or the program \
         is another\n",
        number(of_run.accepted),
        number(of_run.late),
        number(of_run.rejected),
    ))
}
