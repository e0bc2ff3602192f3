//! Transactions that a broker forgot to end.
//!
//! A coordinator ends a transaction in every partition that it touched, and passes over those that have no leader at that
//! moment as if they were deleted. So does a broker that starts after it was killed and finds a transaction that was just
//! committed, or has timed out meanwhile (seen with Kafka 4.3). To the coordinator the transaction has ended; in partitions that
//! it passed over the records stay open for ever, while they may be committed or rolled back in others. Readers of committed
//! records wait behind them, and worse: whatever ends the next transaction of the same producer there ends this one too, with a
//! commit or a rollback as it comes.
//!
//! So before a sink writes anything, it looks for what its former transactions left behind, and ends it. [`fate`](super::fate)
//! decides how; this module looks, and carries it out.

use super::committed::longest_open;
use super::ends::{Ends, Span};
use super::fate::{Attempt, Facts, Place, Seen, Step, decide};
use super::progress::{self, Progress};
use super::topics::Topics;
use super::view::View;
use super::writer::Writer;
use super::{KafkaSinkConfig, SinkBegin};
use crate::kafka::client::partition_name;
use crate::kafka::{KafkaError, Stuck, StuckPartitions};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::topic_partition_list::Offset;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

/// The key of records that are written only to be rolled back: a partition takes part in a transaction once a record is there.
const KEY: &[u8] = b"tidewheel|nothing";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// How long is waited without a word.
const SAY_SO_AFTER: Duration = Duration::from_secs(5);

/// What was seen.
struct Look {
    facts: Facts,
    /// Where partitions begin.
    lows: BTreeMap<Place, u64>,
    /// Where partitions end.
    ends: BTreeMap<Place, u64>,
    /// The last committed progress, where there is one.
    committed: Option<Progress>,
    /// The progress of the attempts.
    attempts: Vec<Progress>,
    /// Where records are open: from where to where, the progress topic included.
    open: BTreeMap<Place, (u64, u64)>,
}

impl Look {
    /// Where records of this sink may be open: not beyond what was there at first, since its former producers are fenced, nor
    /// where a rollback has ended nothing.
    fn of_interest(&self, first_ends: &BTreeMap<Place, u64>, tried: &BTreeSet<(Place, u64)>) -> BTreeSet<Place> {
        let is_own = |place: &Place, from: u64| {
            let span = self.facts.committed.as_ref().and_then(|ends| ends.of(&place.0, place.1));
            first_ends.get(place).is_some_and(|end| from < *end) || span.is_some_and(|span| from < span.end)
        };
        let open = self.open.iter().map(|(place, (from, _))| (place.clone(), *from));
        let own = open.filter(|(place, from)| is_own(place, *from));
        own.filter(|open| !tried.contains(open)).map(|(place, _)| place).collect()
    }
}

/// What is known from one look to the next.
struct Ending {
    begun: Instant,
    said: Instant,
    /// Where partitions ended at first.
    first_ends: Option<BTreeMap<Place, u64>>,
    /// Where a rollback has ended nothing: what is still open there is not this sink's.
    tried: BTreeSet<(Place, u64)>,
    /// How long what is open may end by itself.
    settling: Option<Duration>,
    /// Since when something is rolled back, again where no end of it was seen.
    rolling_back: Option<Instant>,
    /// What is to be written again, and since when it looks so.
    hidden: Option<(Step, Instant)>,
}

impl Ending {
    fn new() -> Self {
        let begun = Instant::now();
        let (first_ends, tried) = (None, BTreeSet::new());
        Self { begun, said: begun, first_ends, tried, settling: None, rolling_back: None, hidden: None }
    }
}

/// Ends what a former producer of the same transactional id left open or half ended although its transactions have ended, which
/// the writer's opening has seen to. Waits for others' open transactions where they hide something. Returns the progress that is
/// committed then; the default where there is none. Counts the transactions that it makes.
///
/// Where the sink begins anew, all that is open is rolled back, and what is committed is not looked at.
pub(super) fn end(
    config: &KafkaSinkConfig,
    writer: &mut Writer,
    topics: &Topics,
    begin: SinkBegin,
    steps: &mut u64,
) -> Result<Progress, KafkaError> {
    let progress: Place = (topics.progress.name.clone(), 0);
    let patience = writer.patience().clone();
    let mut wait = patience.begin();
    let mut ending = Ending::new();
    loop {
        let mut look = look(config, topics, &progress, begin)?;
        let first_ends = ending.first_ends.get_or_insert_with(|| look.ends.clone());
        look.facts.open = look.of_interest(first_ends, &ending.tried);
        let step = decide(&look.facts, &progress);
        if !look.facts.open.is_empty() && !ending.has_settled(config, &progress, &look)?
            || matches!(step, Step::Rewrite(_) | Step::Scattered(_)) && !ending.is_seen_again(&step)
        {
            wait.go_on("tell what became of", &config.transactional_id)?;
            std::thread::sleep(PAUSE);
            continue;
        }
        match step {
            Step::Done => {
                writer.forget_ends();
                return match begin {
                    SinkBegin::GoOn => Ok(look.committed.unwrap_or_default()),
                    SinkBegin::Anew => progress::read(config, &progress.0, wait),
                };
            }
            Step::Commit(at) => {
                let Progress { run, ends, .. } = &look.attempts[at];
                let said = |topic: &str, partition| look.facts.committed.as_ref()?.of(topic, partition);
                let says = |(topic, partition, span)| said(topic, partition) != Some(span);
                if ends.iter().flat_map(Ends::iter).any(says) {
                    tracing::warn!(run, "a broker did not end a commit everywhere: it is ended now");
                } else {
                    tracing::info!(run, "a commit without records was cut off: it is made now");
                }
                writer.commit_with(&progress.0, |_| look.attempts[at].to_json())?;
            }
            Step::RollBack(places) => {
                if ending.rolling_back.get_or_insert_with(Instant::now).elapsed() >= longest_open(config) {
                    return Err(stuck(&look.open, &places));
                }
                tracing::warn!(partitions = ?places, "a broker did not end transactions there: they are rolled back now");
                let fillers = roll_back(writer, &places)?;
                let ended = marked(config, topics, &fillers)?;
                let from = |place: Place| look.open.get(&place).map(|(from, _)| (place, *from));
                ending.tried.extend(places.into_iter().filter(|place| ended.contains(place)).filter_map(from));
                wait.go_on("roll back", &config.transactional_id)?;
            }
            Step::Rewrite(spans) => {
                tracing::warn!(partitions = ?spans, "committed records were not committed there: they are written again");
                rewrite(config, writer, &progress.0, &spans, &look)?;
            }
            Step::Scattered(places) => {
                let names: Vec<String> = places.iter().map(|place| partition_name(&place.0, place.1)).collect();
                return Err(KafkaError::Scattered { partitions: names.join(", ") });
            }
            Step::Unclear(places) => {
                if ending.begun.elapsed() >= longest_open(config) {
                    return Err(stuck(&look.open, &places));
                }
                if ending.said.elapsed() >= SAY_SO_AFTER {
                    tracing::warn!(partitions = ?places, "waiting for open transactions");
                    ending.said = Instant::now();
                }
                wait.go_on("tell what became of", &config.transactional_id)?;
                std::thread::sleep(PAUSE);
                continue;
            }
        }
        *steps += 1;
    }
}

impl Ending {
    /// Whether what is open had its time to end by itself: another sink's is likely to, before the timeout of transactions.
    fn has_settled(&mut self, config: &KafkaSinkConfig, progress: &Place, look: &Look) -> Result<bool, KafkaError> {
        let settling = match self.settling {
            Some(settling) => settling,
            None => {
                let all = View::new(config, "read_uncommitted");
                let low = look.lows.get(progress).copied().unwrap_or_default();
                let end = look.ends.get(progress).copied().unwrap_or_default();
                let has_others = has_others(config, &all, progress, low..end)?;
                *self.settling.insert(if has_others { config.transaction_timeout } else { PAUSE })
            }
        };
        Ok(self.begun.elapsed() >= settling)
    }

    /// Whether it has looked so for a while. A broker that is behind may not show yet what is committed, and written again it
    /// would be there twice.
    fn is_seen_again(&mut self, step: &Step) -> bool {
        const AFTER: Duration = Duration::from_secs(1);
        match &self.hidden {
            Some((looked, since)) if looked == step => since.elapsed() >= AFTER,
            _ => {
                self.hidden = Some((step.clone(), Instant::now()));
                false
            }
        }
    }
}

/// Looks at all that decides.
fn look(config: &KafkaSinkConfig, topics: &Topics, progress: &Place, begin: SinkBegin) -> Result<Look, KafkaError> {
    let all = View::new(config, "read_uncommitted");
    let committed = View::new(config, "read_committed");
    // In this order: what is committed meanwhile does not look open.
    let ends = all.bounds(topics, Offset::End)?;
    let readable = committed.bounds(topics, Offset::End)?;
    let lows = all.bounds(topics, Offset::Beginning)?;
    let open = ends.iter().filter_map(|(place, end)| {
        let readable = readable.get(place)?;
        (readable < end).then(|| (place.clone(), (*readable, *end)))
    });
    let open: BTreeMap<Place, (u64, u64)> = open.collect();

    if begin == SinkBegin::Anew {
        let facts = Facts { committed: Some(Ends::default()), ..Facts::default() };
        return Ok(Look { facts, lows, ends, committed: None, attempts: Vec::new(), open });
    }
    let last = progress::read_as_is(config, &progress.0)?;
    let low = lows.get(progress).copied().unwrap_or_default();
    let from = last.as_ref().map_or(low, |(offset, _)| offset + 1);
    let end = ends.get(progress).copied().unwrap_or_default();
    let first_open = open.get(progress).map_or(end, |(from, _)| *from);
    let (mut attempts, mut failed) = (Vec::new(), None);
    let (mut gaps, mut is_interleaved) = (Gaps::new(first_open), false);
    all.scan(progress, from, end, |message| {
        let offset = message.offset().unsigned_abs();
        gaps.pass(offset);
        if message.key() == Some(config.transactional_id.as_bytes()) {
            match progress::parse(message.payload(), config, &progress.0, message.offset()) {
                Ok(attempt) => attempts.push((offset, attempt)),
                Err(error) => failed = Some(error),
            }
        }
        // Then nothing can be told of what is open there, whatever else there is.
        is_interleaved = gaps.is_found && attempts.last().is_some_and(|(offset, _)| *offset >= first_open);
        if is_interleaved || failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    failed.map_or(Ok(()), Err)?;
    is_interleaved |= gaps.is_interrupted(end) && attempts.iter().any(|(offset, _)| *offset >= first_open);

    let committed_progress = last.map(|(_, progress)| progress);
    if is_interleaved {
        let facts = Facts { is_interleaved, ..Facts::default() };
        return Ok(Look { facts, lows, ends, committed: committed_progress, attempts: Vec::new(), open });
    }
    let said = match &committed_progress {
        None => Some(Ends::default()),
        Some(progress) => progress.ends.clone(),
    };
    let watcher = Watcher { all: &all, committed: &committed, lows: &lows, ends: &ends, open: &open };
    let mut facts = Facts {
        seen: said.as_ref().map_or(Ok(BTreeMap::new()), |ends| watcher.seen(ends))?,
        committed: said,
        attempts: Vec::new(),
        is_interleaved,
        open: BTreeSet::new(),
    };
    // Looked for at most once, and from the beginning: another may have been silent for long.
    let mut is_alone = None;
    let mut is_alone = || match is_alone {
        Some(is_alone) => Ok(is_alone),
        None => has_others(config, &all, progress, low..end).map(|has_others| *is_alone.insert(!has_others)),
    };
    for (at, (offset, attempt)) in attempts.iter().enumerate() {
        let is_next = |next: &Progress| {
            next.incarnation == attempt.incarnation && next.sequence == attempt.sequence.saturating_add(1)
        };
        let was_next_asked_for = attempts[at..].iter().any(|(_, next)| is_next(next));
        facts.attempts.push(Attempt {
            ends: attempt.ends.clone(),
            is_open: *offset >= first_open,
            is_claim: attempt.sequence == 0,
            is_followed: was_next_asked_for || watcher.is_followed(attempt.ends.as_ref())? && is_alone()?,
            seen: attempt.ends.as_ref().map_or(Ok(BTreeMap::new()), |ends| watcher.seen(ends))?,
        });
    }
    let attempts = attempts.into_iter().map(|(_, progress)| progress).collect();
    Ok(Look { facts, lows, ends, committed: committed_progress, attempts, open })
}

/// Whether other sinks write to the progress topic. Each leaves a record there before any other, and the last of each is kept.
fn has_others(
    config: &KafkaSinkConfig,
    all: &View<'_>,
    progress: &Place,
    range: Range<u64>,
) -> Result<bool, KafkaError> {
    let mut is_found = false;
    all.scan(progress, range.start, range.end, |message| {
        is_found = message.key() != Some(config.transactional_id.as_bytes()) && message.key() != Some(KEY);
        if is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(is_found)
}

/// Looks at single records.
struct Watcher<'a> {
    all: &'a View<'a>,
    committed: &'a View<'a>,
    lows: &'a BTreeMap<Place, u64>,
    ends: &'a BTreeMap<Place, u64>,
    open: &'a BTreeMap<Place, (u64, u64)>,
}

impl Watcher<'_> {
    /// What is seen of the last records of spans.
    fn seen(&self, ends: &Ends) -> Result<BTreeMap<Place, Seen>, KafkaError> {
        let mut seen = BTreeMap::new();
        let mut closed = BTreeMap::new();
        for (topic, partition, Span { end, .. }) in ends.iter() {
            let place: Place = (topic.to_owned(), partition);
            // Removed, of a topic that was made anew, or of an interval that is written no more.
            let is_low = self.lows.get(&place).is_none_or(|low| end <= *low);
            if is_low || self.ends.get(&place).is_none_or(|last| end > *last) {
                seen.insert(place, Seen::Gone);
                continue;
            }
            match self.open.get(&place) {
                Some(&(from, until)) if end > from => {
                    let mut gaps = Gaps::new(from);
                    self.all.scan(&place, from, until, |message| gaps.pass_until_found(message))?;
                    seen.insert(place, if gaps.is_interrupted(until) { Seen::Unclear } else { Seen::Open });
                }
                _ => drop(closed.insert(place, end - 1)),
            }
        }
        let visible = self.committed.keys_at(&closed)?;
        closed.retain(|place, _| !visible.contains_key(place));
        let there = self.all.keys_at(&closed)?;
        let hidden = |(place, _): (Place, u64)| {
            let is_there = there.contains_key(&place);
            (place, if is_there { Seen::Hidden } else { Seen::Gone })
        };
        seen.extend(closed.into_iter().map(hidden));
        seen.extend(visible.into_keys().map(|place| (place, Seen::Visible)));
        Ok(seen)
    }
}

impl Watcher<'_> {
    /// Whether records come after these spans with nothing between that ended a transaction: those of a next transaction, where
    /// no other sink writes.
    fn is_followed(&self, ends: Option<&Ends>) -> Result<bool, KafkaError> {
        let spans = ends.into_iter().flat_map(Ends::iter);
        let spans = spans.map(|(topic, partition, span)| ((topic.to_owned(), partition), span.end));
        let spans: BTreeMap<Place, u64> =
            spans.filter(|(place, end)| self.ends.get(place).is_some_and(|last| end < last)).collect();
        Ok(self.all.keys_at(&spans)?.values().any(|key| key != KEY))
    }
}

/// Whether records lie side by side: what ends a transaction takes an offset and is not shown.
struct Gaps {
    next: u64,
    is_found: bool,
}

impl Gaps {
    const fn new(from: u64) -> Self {
        Self { next: from, is_found: false }
    }

    /// Records before the first do not count.
    const fn pass(&mut self, offset: u64) {
        if offset >= self.next {
            self.is_found |= offset > self.next;
            self.next = offset + 1;
        }
    }

    fn pass_until_found(&mut self, message: &BorrowedMessage<'_>) -> ControlFlow<()> {
        self.pass(message.offset().unsigned_abs());
        if self.is_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    const fn is_interrupted(&self, end: u64) -> bool {
        self.is_found || self.next < end
    }
}

/// Rolls back a record in each place, and what was open there of this sink with it. Returns where they lie.
fn roll_back(writer: &mut Writer, places: &[Place]) -> Result<Ends, KafkaError> {
    writer.begin()?;
    for (topic, partition) in places {
        writer.send(topic, *partition, Some(KEY), None, None)?;
    }
    // Else a partition may not take part yet.
    writer.settle()?;
    let fillers = writer.take_delivered();
    writer.abort()?;
    Ok(fillers)
}

/// The places where a mark is seen to follow a record that was rolled back. A broker may forget that as well.
fn marked(config: &KafkaSinkConfig, topics: &Topics, fillers: &Ends) -> Result<BTreeSet<Place>, KafkaError> {
    /// A rollback is answered before its marks are written.
    const WITHIN: Duration = Duration::from_secs(2);
    let all = View::new(config, "read_uncommitted");
    let begun = Instant::now();
    let mut marked = BTreeSet::new();
    loop {
        let ends = all.bounds(topics, Offset::End)?;
        for (topic, partition, filler) in fillers.iter() {
            let place: Place = (topic.to_owned(), partition);
            let end = ends.get(&place).copied().unwrap_or_default();
            let mut gaps = Gaps::new(filler.first);
            if !marked.contains(&place) {
                all.scan(&place, filler.first, end, |message| gaps.pass_until_found(message))?;
            }
            if gaps.is_interrupted(end) {
                marked.insert(place);
            }
        }
        if marked.len() == fillers.iter().count() || begun.elapsed() >= WITHIN {
            return Ok(marked);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes records again, in their order, with the progress that speaks of them. Those that the broker has removed since, it would
/// have removed in any case: by their age, or since later ones took their place.
fn rewrite(
    config: &KafkaSinkConfig,
    writer: &mut Writer,
    topic: &str,
    spans: &[(Place, Span)],
    look: &Look,
) -> Result<(), KafkaError> {
    let all = View::new(config, "read_uncommitted");
    writer.begin()?;
    for (place, Span { first, end }) in spans {
        let (mut count, mut sent) = (0, Ok(()));
        let low = look.lows.get(place).copied().unwrap_or_default();
        all.scan(place, low.max(*first), *end, |message| {
            count += 1;
            let headers = message.headers().map(rdkafka::message::BorrowedHeaders::detach);
            sent = send_again(writer, place, message.key(), message.payload(), headers);
            if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        sent?;
        if count != end - first {
            let partition = partition_name(&place.0, place.1);
            tracing::warn!(
                partition,
                first,
                end,
                count,
                "the broker has removed some of the records that were to be written again"
            );
        }
    }
    let progress = look.committed.clone().unwrap_or_default();
    writer.commit_with(topic, |written| {
        let ends = progress.ends.as_ref().map(|ends| ends.followed_by(written));
        Progress { ends, ..progress }.to_json()
    })
}

fn send_again(
    writer: &mut Writer,
    (topic, partition): &Place,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: Option<OwnedHeaders>,
) -> Result<(), KafkaError> {
    writer.send(topic, *partition, key, value, headers)
}

fn stuck(open: &BTreeMap<Place, (u64, u64)>, places: &[Place]) -> KafkaError {
    let stuck = |place: &Place| {
        let (readable, end) = *open.get(place)?;
        Some(Stuck { topic: place.0.clone(), partition: place.1, readable, end })
    };
    KafkaError::Hanging { stuck: StuckPartitions(places.iter().filter_map(stuck).collect()) }
}
