//! A broker that forgets to end transactions in any partition at any time, and sinks that are killed at any time, also while they
//! mend: what is reported stays, and readers see every record once and in order.

use super::super::super::ends::Delivered;
use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const PARTITIONS: i32 = 3;
/// Of a hundred ends of a transaction in a partition, so many are forgotten.
const FORGOTTEN: u32 = 35;
/// Of a hundred transactions of a sink that mends, so many are cut off.
const CUT_OFF: u32 = 20;

#[derive(Clone, Debug)]
enum Entry {
    Bar(u64),
    Progress(Said),
    Filler,
    /// A commit, or a rollback, of all since the end before.
    End(bool),
}

#[derive(Clone, Debug, Default)]
struct Said {
    tick: u64,
    ends: Ends,
    incarnation: u64,
    sequence: u64,
}

struct World {
    random: ChaCha8Rng,
    logs: BTreeMap<Place, Vec<Entry>>,
    incarnations: u64,
}

/// A sink between transactions.
struct Sink {
    said: Said,
    ends: Ends,
}

impl World {
    fn new(seed: u64) -> Self {
        let places = (0..PARTITIONS).map(|partition| ("bars".to_owned(), partition));
        let logs = places.chain([place("progress")]).map(|place| (place, Vec::new())).collect();
        Self { random: ChaCha8Rng::seed_from_u64(seed), logs, incarnations: 0 }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn log(&self, place: &Place) -> &[Entry] {
        &self.logs[place]
    }

    fn append(&mut self, place: &Place, entry: Entry, delivered: &mut Delivered) {
        let log = self.logs.get_mut(place).expect("a partition");
        delivered.add(&place.0, place.1, log.len() as u64);
        log.push(entry);
    }

    /// What a coordinator does, who may forget any partition.
    fn end(&mut self, touched: &BTreeSet<Place>, is_committed: bool) {
        for place in touched {
            if !self.chance(FORGOTTEN) {
                self.logs.get_mut(place).expect("a partition").push(Entry::End(is_committed));
            }
        }
    }

    fn seen_at(&self, place: &Place, offset: u64) -> Seen {
        let after = &self.log(place)[usize::try_from(offset).expect("few entries")..];
        let end = after
            .iter()
            .find_map(|entry| if let Entry::End(is_committed) = entry { Some(*is_committed) } else { None });
        match end {
            Some(true) => Seen::Visible,
            Some(false) => Seen::Hidden,
            None => Seen::Open,
        }
    }

    fn is_open(&self, place: &Place) -> bool {
        self.log(place).last().is_some_and(|entry| !matches!(entry, Entry::End(_)))
    }

    fn seen(&self, ends: &Ends) -> BTreeMap<Place, Seen> {
        let of = |(topic, partition, span): (&str, i32, Span)| {
            let place = (topic.to_owned(), partition);
            let seen = self.seen_at(&place, span.end - 1);
            (place, seen)
        };
        ends.iter().map(of).collect()
    }

    fn is_followed(&self, ends: &Ends) -> bool {
        let next = |(topic, partition, span): (&str, i32, Span)| {
            let log = self.log(&(topic.to_owned(), partition));
            matches!(log.get(usize::try_from(span.end).expect("few entries")), Some(Entry::Bar(_)))
        };
        ends.iter().any(next)
    }

    /// As the sink looks at the real broker.
    fn look(&self) -> (Facts, Said, Vec<Said>) {
        let progress = place("progress");
        let (mut last, mut attempts) = (Said::default(), Vec::new());
        for (offset, entry) in (0..).zip(self.log(&progress)) {
            let Entry::Progress(said) = entry else { continue };
            match self.seen_at(&progress, offset) {
                Seen::Visible => {
                    last = said.clone();
                    attempts.clear();
                }
                seen => attempts.push((said.clone(), seen)),
            }
        }
        let is_next =
            |said: &Said, next: &Said| (next.incarnation, next.sequence) == (said.incarnation, said.sequence + 1);
        let attempt = |(at, (said, seen)): (usize, &(Said, Seen))| Attempt {
            ends: Some(said.ends.clone()),
            is_open: *seen == Seen::Open,
            is_claim: said.sequence == 0,
            is_followed: self.is_followed(&said.ends) || attempts[at..].iter().any(|(next, _)| is_next(said, next)),
            seen: self.seen(&said.ends),
        };
        let facts = Facts {
            committed: Some(last.ends.clone()),
            seen: self.seen(&last.ends),
            attempts: attempts.iter().enumerate().map(attempt).collect(),
            is_interleaved: false,
            open: self.logs.keys().filter(|place| self.is_open(place)).cloned().collect(),
        };
        (facts, last, attempts.into_iter().map(|(said, _)| said).collect())
    }

    /// One step of mending, which may be cut off.
    fn mend(&mut self, step: Step, last: &Said, attempts: &[Said]) {
        let (mut touched, mut delivered) = (BTreeSet::new(), Delivered::default());
        let (is_committed, mut said) = match &step {
            Step::Commit(at) => (true, Some(attempts[*at].clone())),
            Step::Rewrite(_) => (true, Some(last.clone())),
            _ => (false, None),
        };
        let mut entries: Vec<(Place, Entry)> = Vec::new();
        match step {
            Step::RollBack(places) => entries.extend(places.into_iter().map(|place| (place, Entry::Filler))),
            Step::Rewrite(spans) => {
                for (place, Span { first, end }) in spans {
                    let range = usize::try_from(first).expect("few")..usize::try_from(end).expect("few");
                    entries.extend(self.log(&place)[range].iter().map(|entry| (place.clone(), entry.clone())));
                }
            }
            _ => {}
        }
        for (place, entry) in entries {
            if self.chance(CUT_OFF / 4) {
                return self.end(&touched, false);
            }
            touched.insert(place.clone());
            self.append(&place, entry, &mut delivered);
        }
        if let Some(said) = &mut said {
            said.ends = said.ends.followed_by(&delivered.ends());
            touched.insert(place("progress"));
            self.append(&place("progress"), Entry::Progress(said.clone()), &mut Delivered::default());
        }
        let is_cut_off = self.chance(CUT_OFF);
        self.end(&touched, is_committed && !is_cut_off);
    }

    /// A sink opens, or opens anew with the incarnation that it had.
    fn open(&mut self, incarnation: Option<(u64, u64)>, reported: u64, seed: u64) -> Sink {
        for _ in 0..10_000 {
            let (facts, last, attempts) = self.look();
            let step = decide(&facts, &place("progress"));
            if step != Step::Done {
                assert!(!matches!(step, Step::Unclear(_)), "seed {seed}: {step:?} {facts:?}");
                self.mend(step, &last, &attempts);
                continue;
            }
            self.check(last.tick, reported, seed);
            if let Some((incarnation, sequence)) = incarnation {
                let said = Said { incarnation, sequence: sequence.max(last.sequence), ..last };
                return Sink { said, ends: Ends::default() };
            }
            self.incarnations += 1;
            let said = Said { tick: last.tick, ends: Ends::default(), incarnation: self.incarnations, sequence: 0 };
            let is_cut_off = self.chance(CUT_OFF);
            self.append(&place("progress"), Entry::Progress(said.clone()), &mut Delivered::default());
            self.end(&BTreeSet::from([place("progress")]), !is_cut_off);
            if !is_cut_off {
                return Sink { said, ends: Ends::default() };
            }
        }
        panic!("seed {seed}: it does not end");
    }

    fn check(&self, committed: u64, reported: u64, seed: u64) {
        assert!(committed >= reported, "seed {seed}: tick {reported} was reported and {committed} is committed");
        for partition in 0..PARTITIONS {
            let place = ("bars".to_owned(), partition);
            assert!(!self.is_open(&place), "seed {seed}: {place:?} is open");
            let visible = (0..).zip(self.log(&place)).filter_map(|(offset, entry)| match entry {
                Entry::Bar(bar) if self.seen_at(&place, offset) == Seen::Visible => Some(*bar),
                _ => None,
            });
            let expected = (1..=committed).flat_map(|tick| bars(tick, partition));
            let (visible, expected): (Vec<u64>, Vec<u64>) = (visible.collect(), expected.collect());
            assert_eq!(visible, expected, "seed {seed}: {place:?} {:?}", self.log(&place));
            let fillers = (0..).zip(self.log(&place)).filter(|(_, entry)| matches!(entry, Entry::Filler));
            let mut states = fillers.map(|(offset, _)| self.seen_at(&place, offset));
            assert!(states.all(|seen| seen == Seen::Hidden), "seed {seed}: what only ends a transaction is seen");
        }
    }

    /// Writes a tick. Returns the sink if it lives on, and whether the commit was reported.
    fn write(&mut self, sink: Sink) -> (Option<Sink>, bool) {
        let tick = sink.said.tick + 1;
        let (mut touched, mut delivered) = (BTreeSet::new(), Delivered::default());
        for partition in 0..PARTITIONS {
            for bar in bars(tick, partition) {
                if self.chance(4) {
                    self.end(&touched, false);
                    return (None, false);
                }
                let place = ("bars".to_owned(), partition);
                touched.insert(place.clone());
                self.append(&place, Entry::Bar(bar), &mut delivered);
            }
        }
        let ends = sink.ends.followed_by(&delivered.ends());
        let said = Said { tick, ends: ends.clone(), sequence: sink.said.sequence + 1, ..sink.said };
        touched.insert(place("progress"));
        self.append(&place("progress"), Entry::Progress(said.clone()), &mut Delivered::default());
        let (is_committed, is_reported) = match self.random.random_range(0..10) {
            0..7 => (true, true),
            7 => (true, false),
            _ => (false, false),
        };
        self.end(&touched, is_committed);
        (is_reported.then_some(Sink { said, ends }), is_reported)
    }
}

/// The bars of a tick in a partition: none, one or two.
fn bars(tick: u64, partition: i32) -> impl Iterator<Item = u64> {
    let number = tick * 31 + partition.unsigned_abs() as u64 * 17;
    (0..number % 7 % 3).map(move |bar| tick * 10 + bar)
}

#[test]
fn whatever_a_broker_forgets_and_whenever_a_sink_is_killed_all_is_there_once_and_in_order() {
    let mut ticks = 0;
    for seed in 0..5_000 {
        let mut world = World::new(seed);
        let mut reported = 0;
        let mut sink = world.open(None, reported, seed);
        for _ in 0..12 {
            let (incarnation, sequence) = (sink.said.incarnation, sink.said.sequence);
            let (alive, is_reported) = world.write(sink);
            reported += u64::from(is_reported);
            sink = match alive {
                Some(sink) if !world.chance(15) => sink,
                _ => {
                    let lives_on = world.chance(50).then_some((incarnation, sequence));
                    world.open(if is_reported { None } else { lives_on }, reported, seed)
                }
            };
            reported = reported.max(sink.said.tick);
        }
        ticks += world.open(None, reported, seed).said.tick;
    }
    assert!(ticks > 30_000, "{ticks} ticks were committed");
}
