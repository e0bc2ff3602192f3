//! The decision on every mixture of what can be seen, and in a model of a broker that forgets.

mod model;

use super::*;

fn place(name: &str) -> Place {
    match name {
        "progress" => ("progress".to_owned(), 0),
        name => ("bars".to_owned(), name.parse().expect("a partition")),
    }
}

/// `0-3 1-2`: partitions with where a span ended; a span has one record.
fn ends(text: &str) -> Ends {
    let mut ends = Ends::default();
    for span in text.split_whitespace() {
        let (partition, end) = span.split_once('-').expect("a partition and an end");
        let end: u64 = end.parse().expect("an offset");
        ends.set("bars", partition.parse().expect("a partition"), Span { first: end - 1, end });
    }
    ends
}

/// `0v 1h 2o 3g 4u`: what is seen of partitions.
fn seen(text: &str) -> BTreeMap<Place, Seen> {
    let seen = |word: &str| {
        let (name, seen) = word.split_at(word.len() - 1);
        let seen = match seen {
            "v" => Seen::Visible,
            "h" => Seen::Hidden,
            "o" => Seen::Open,
            "g" => Seen::Gone,
            _ => Seen::Unclear,
        };
        (place(name), seen)
    };
    text.split_whitespace().map(seen).collect()
}

/// `ends; what is seen of them`, and for attempts before it `open`, `hidden`, `followed` or `claim`.
fn attempt(text: &str) -> Attempt {
    let (kind, text) = text.split_once(' ').expect("a kind");
    let (of, what) = text.split_once(';').expect("ends and what is seen");
    Attempt {
        ends: (of != "unsaid").then(|| ends(of)),
        is_open: kind == "open",
        is_followed: kind == "followed",
        is_claim: kind == "claim",
        seen: seen(what),
    }
}

fn told(step: Step) -> String {
    let name = |place: &Place| if place.0 == "progress" { place.0.clone() } else { place.1.to_string() };
    let names = |places: &[Place]| places.iter().map(name).collect::<Vec<_>>().join(" ");
    match step {
        Step::Done => "done".to_owned(),
        Step::Commit(at) => format!("commit {at}"),
        Step::RollBack(places) => format!("roll back {}", names(&places)),
        Step::Rewrite(spans) => {
            let of = |(place, span): &(Place, Span)| format!("{} {}-{}", name(place), span.first, span.end);
            format!("write again {}", spans.iter().map(of).collect::<Vec<_>>().join(" "))
        }
        Step::Scattered(places) => format!("scattered {}", names(&places)),
        Step::Unclear(places) => format!("unclear {}", names(&places)),
    }
}

fn check(committed: &str, attempts: &[&str], open: &str, expected: &str) {
    let (of, what) = committed.split_once(';').expect("ends and what is seen");
    let facts = Facts {
        committed: (of != "unsaid").then(|| ends(of)),
        seen: seen(what),
        attempts: attempts.iter().map(|text| attempt(text)).collect(),
        is_interleaved: open.contains('!'),
        open: open.trim_end_matches('!').split_whitespace().map(place).collect(),
    };
    let step = told(decide(&facts, &place("progress")));
    assert_eq!(step, expected, "{committed:?} {attempts:?} {open:?}");
}

#[test]
fn what_a_committed_progress_speaks_of_is_made_visible_and_what_else_is_open_is_rolled_back() {
    check(";", &[], "", "done");
    check("0-3 1-4;0v 1v", &[], "", "done");
    check("0-3 1-4;0v 1g", &[], "", "done");
    // Never reported.
    check(";", &[], "0 1", "roll back 0 1");
    check("0-3;0v", &[], "0 1", "roll back 0 1");
    check("0-3;0v", &[], "progress", "roll back progress");
    // Its commit was forgotten in one partition: first ended, then written again.
    check("0-3 1-4;0v 1o", &[], "1", "roll back 1");
    check("0-3 1-4;0v 1h", &[], "", "write again 1 3-4");
    check("0-3 1-4;0h 1h", &[], "", "write again 0 2-3 1 3-4");
    // Something else of nobody's is open at the same time.
    check("0-3 1-4;0v 1h", &[], "2", "roll back 2");
    check("0-3 1-4;0o 1v", &[], "0 2", "roll back 0 2");
    // Another sink's transaction hides it.
    check("0-3 1-4;0v 1u", &[], "", "unclear 1");
    check("0-3 1-4;0v 1o", &[], "", "unclear 1");
}

#[test]
fn an_attempt_is_committed_if_it_was_anywhere_and_rolled_back_if_it_was_anywhere() {
    // Everything is open, or nothing came with it.
    check("0-3;0v", &["open 0-5 1-4;0o 1o"], "0 1 progress", "commit 0");
    check("0-3;0v", &["open 0-3;0v"], "progress", "commit 0");
    check("0-3;0v", &["open ;"], "progress", "commit 0");
    check(";", &["open 0-5;0o"], "0 progress", "commit 0");
    // Ended in one partition only: either way.
    check("0-3;0v", &["open 0-5 1-4;0v 1o"], "1 progress", "commit 0");
    check("0-3;0v", &["open 0-5 1-4;0h 1o"], "1 progress", "roll back 1 progress");
    check("0-3;0v", &["open 0-5 1-4;0h 1h"], "progress", "roll back progress");
    check("0-3;0v", &["open 0-5 1-4;0v 1h"], "progress", "commit 0");
    // Ended in the progress topic and nowhere else: by a commit that was not completed, or a rollback nobody knows of.
    check("0-3;0v", &["hidden 0-5 1-4;0o 1o"], "0 1", "commit 0");
    check("0-3;0v", &["hidden 0-5 1-4;0h 1o"], "1", "roll back 1");
    check("0-3;0v", &["hidden 0-5 1-4;0h 1h"], "", "done");
    check("0-3;0v", &["hidden 0-5 1-4;0v 1h"], "", "commit 0");
    check("0-3;0v", &["hidden 0-3;0v"], "", "commit 0");
    check("0-3;0v", &["claim ;"], "", "done");
    check("0-3;0v", &["hidden 0-5;0g"], "", "done");
    // What it does not bring itself says nothing about it.
    check("0-3 1-4;0v 1v", &["open 0-5 1-4;0h 1v"], "progress", "roll back progress");
    // Its writer went on, which it did not do before it was told that this is committed.
    check("0-3;0v", &["followed 0-5 1-4;0h 1h"], "", "commit 0");
    check("0-3;0v", &["followed 0-5 1-4;0h 1o"], "1", "commit 0");
}

#[test]
fn the_last_attempt_that_was_committed_counts() {
    check("0-3;0v", &["hidden 0-5;0v", "hidden 0-5 1-9;0v 1h"], "", "commit 0");
    check("0-3;0v", &["open 0-5;0o", "open 0-5 1-9;0o 1v"], "0 progress", "commit 1");
    check("0-3;0v", &["hidden 0-5;0h", "hidden 0-7;0h"], "", "done");
    check("0-3;0v", &["hidden 0-5;0h", "open 0-7;0o"], "0 progress", "commit 1");
    // The same again, as a step that was cut off left it.
    check("0-3;0v", &["hidden 0-5;0o", "hidden 0-5;0o"], "0", "commit 1");
}

#[test]
fn what_cannot_be_told_is_left_alone() {
    check("0-3;0v", &["open 0-5;0u"], "0 progress", "unclear 0");
    check("0-3;0v", &["open 0-5;0o"], "0 progress!", "unclear progress");
    // An earlier version did not write down what it committed.
    check("unsaid;", &[], "", "done");
    check("unsaid;", &[], "0 1", "unclear 0 1");
    check("unsaid;", &["open unsaid;"], "0 progress", "unclear progress");
    check("unsaid;", &["hidden unsaid;"], "", "done");
    // Its records lie among those of another sink.
    let mut of = Ends::default();
    of.set("bars", 0, Span { first: 7, end: 7 });
    let facts = Facts { committed: Some(of), seen: seen("0h"), ..Facts::default() };
    assert_eq!(told(decide(&facts, &place("progress"))), "scattered 0");
}
