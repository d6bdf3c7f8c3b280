use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_decimal::Decimal;

use crate::engine::window_log::{AsOf, LogPart, LogPlan, View, WindowLog};
use crate::event::binary::{Reader, write_value};
use crate::event::{EventTime, Place, SharedEvent, StreamId, TimeSpan, Value};
use crate::pattern::{Aggregate, Measure, WindowSpan};

/// The log as it is said to be: a list, and all of it is looked at.
#[derive(Clone, Default)]
struct List {
    entries: Vec<(EventTime, Value)>,
    asked: BTreeSet<(usize, AsOf)>,
}

impl List {
    fn take(&mut self, plan: &LogPlan, time: EventTime, value: Value) {
        let is_in = |place: usize, view: &View| seen(&self.entries, view.span, time).contains(&place);
        let first = (0..self.entries.len()).find(|&place| plan.views.iter().any(|view| is_in(place, view)));
        self.entries.drain(..first.unwrap_or(self.entries.len()));
        self.entries.push((time, value));
        self.asked.clear();
    }

    fn end(&self, plan: &LogPlan) -> EventTime {
        self.entries.last().map_or(EventTime::END, |(last, _)| plan.views.iter().map(|view| view.span.end(*last)).max().unwrap())
    }

    fn answer(&mut self, plan: &LogPlan, view: usize, as_of: AsOf, faults: &Cell<u64>) -> Value {
        let View { span, aggregate } = plan.views[view];
        let (at, until) = match as_of {
            AsOf::Event(at) => (at, self.entries.len()),
            AsOf::Deadline(at) => (at, self.entries.iter().take_while(|(time, _)| *time < at).count()),
        };
        let entries = &self.entries[..until];
        let measure = aggregate.map_or(Measure::Count, |aggregate| Measure::Aggregate { aggregate, path: Box::new([0]) });
        let found = Cell::new(0);
        let value = measure.of(entries[seen(entries, span, at)].iter().map(|(_, value)| value.clone()), &found);
        if self.asked.insert((view, as_of)) {
            faults.set(faults.get() + found.get());
        }
        value
    }
}

/// The places of those that a window over all of them holds.
fn seen(entries: &[(EventTime, Value)], span: WindowSpan, at: EventTime) -> std::ops::Range<usize> {
    let Some((last, _)) = entries.last() else { return 0..0 };
    if span.end(*last) <= at {
        return entries.len()..entries.len();
    }
    let first = match span {
        WindowSpan::Session(gap) => (1..entries.len()).rev().find(|&place| entries[place].0.since(entries[place - 1].0) >= gap).unwrap_or(0),
        _ => entries.iter().take_while(|(time, _)| *time < span.first(at)).count(),
    };
    first..entries.len()
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Int,
    HugeInt,
    IntUpwards,
    Decimal,
    DecimalUpwards,
    LongDecimal,
    DecimalAboutZero,
    Float,
    HugeFloat,
    Duration,
    Timestamp,
    Text,
    Bool,
    List,
    Record,
    /// Which no field is of; but bytes may be.
    AnyNumber,
}

const KINDS: [Kind; 16] = [
    Kind::Int,
    Kind::HugeInt,
    Kind::IntUpwards,
    Kind::Decimal,
    Kind::DecimalUpwards,
    Kind::LongDecimal,
    Kind::DecimalAboutZero,
    Kind::Float,
    Kind::HugeFloat,
    Kind::Duration,
    Kind::Timestamp,
    Kind::Text,
    Kind::Bool,
    Kind::List,
    Kind::Record,
    Kind::AnyNumber,
];

impl Kind {
    /// Those that the checker lets windows take of it.
    fn aggregates(self) -> &'static [Aggregate] {
        let all = &[Aggregate::Collect, Aggregate::Distinct, Aggregate::Least, Aggregate::Most, Aggregate::Sum, Aggregate::Average];
        match self {
            Self::Bool | Self::List | Self::Record => &all[..2],
            Self::Text | Self::Timestamp => &all[..4],
            Self::AnyNumber => &all[4..],
            _ => all,
        }
    }

    fn value(self, rng: &mut ChaCha8Rng) -> Value {
        if rng.random_bool(0.15) {
            return Value::Null;
        }
        match self {
            Self::Int => Value::Int(rng.random_range(-3..=3)),
            Self::HugeInt => Value::Int([i64::MAX, i64::MIN, i64::MAX / 3, -1, 0, i64::MIN / 4][rng.random_range(0..6)]),
            Self::IntUpwards => Value::Int([i64::MAX / 12, 0, 5][rng.random_range(0..3)]),
            Self::Decimal | Self::DecimalUpwards => {
                let mut value = Decimal::from_i128_with_scale(rng.random_range(0..=4), rng.random_range(0..=3));
                value.set_sign_negative(self == Self::Decimal && rng.random());
                Value::Decimal(value)
            }
            Self::LongDecimal => {
                // Of which a few fill all digits, so that some sums round on the way and some do not fit at all; and some have more, as older state may have.
                let end = 10_i128.pow(28);
                let long = [
                    (end - 1, 28),
                    (1 << 95, 28),
                    (1 << 92, 28),
                    (end / 10, 28),
                    (1 << 64, 19),
                    (3, 0),
                    (1 << 33, 9),
                    (end / 2, 3),
                    (end - 1, 0),
                    ((1 << 96) - 1, 0),
                ];
                let choices = long.len() - 2 * usize::from(rng.random_bool(0.98));
                let (digits, scale) = long[rng.random_range(0..choices)];
                let mut value = Decimal::from_i128_with_scale(digits, scale);
                value.set_sign_negative(rng.random());
                Value::Decimal(value)
            }
            Self::DecimalAboutZero => {
                let mut value = Decimal::from_i128_with_scale(i128::from(rng.random_bool(0.15)), rng.random_range(0..=3));
                value.set_sign_negative(rng.random());
                Value::Decimal(value)
            }
            Self::AnyNumber => [Self::Int, Self::Decimal, Self::Float, Self::Duration][rng.random_range(0..4)].value(rng),
            Self::Float => Value::Float([-0.0, 0.0, 0.1, -0.1, 1e16, 3.0][rng.random_range(0..6)]),
            Self::HugeFloat => Value::Float([f64::MAX, -f64::MAX, 1e300, 1.0][rng.random_range(0..4)]),
            Self::Duration => Value::Duration(TimeSpan::from_micros([1, -1, 0, i64::MAX / 2, 7][rng.random_range(0..5)])),
            Self::Timestamp => Value::Timestamp(EventTime::from_micros(rng.random_range(-3..=3))),
            Self::Text => Value::text(["", "a", "a\0", "b", "longer than what lies in the value"][rng.random_range(0..5)]),
            Self::Bool => Value::Bool(rng.random()),
            Self::List => Value::List((0..rng.random_range(0..=2)).map(|_| Self::Decimal.value(rng)).collect()),
            Self::Record => Value::Record([Self::Float.value(rng), Self::Text.value(rng)].into()),
        }
    }
}

fn plan(rng: &mut ChaCha8Rng, kind: Kind) -> LogPlan {
    let path = rng.random_bool(0.9).then(|| if rng.random() { [1].into() } else { [2, 0].into() });
    let mut views = Vec::new();
    for _ in 0..rng.random_range(1..=4) {
        let length = TimeSpan::from_micros([1, 5, 20, 60][rng.random_range(0..4)] + rng.random_range(0..=3));
        let span = [WindowSpan::Sliding, WindowSpan::Tumbling, WindowSpan::Session][rng.random_range(0..3)](length);
        let aggregate = (path.is_some() && rng.random_bool(0.9)).then(|| kind.aggregates()[rng.random_range(0..kind.aggregates().len())]);
        let view = View { span, aggregate };
        if !views.contains(&view) {
            views.push(view);
        }
    }
    LogPlan { path, views }
}

fn event(time: EventTime, value: Value) -> SharedEvent {
    let fields = [Value::Int(-9), value.clone(), Value::Record([value, Value::Null].into())];
    SharedEvent::new(Place { time, stream: StreamId(0), partition: 0, offset: 0 }, fields.into_iter())
}

fn bytes_of(log: &WindowLog) -> Vec<u8> {
    let mut bytes = Vec::new();
    log.encode(&mut bytes);
    bytes
}

fn restored(plan: &LogPlan, log: &WindowLog) -> WindowLog {
    WindowLog::decode(plan, [&bytes_of(log)[..]]).expect("what was just written")
}

/// To the sign of zero and the places of a decimal.
fn same(left: &Value, right: &Value) -> bool {
    let [left, right] = [left, right].map(|value| {
        let mut bytes = Vec::new();
        write_value(value, &mut bytes);
        bytes
    });
    left == right
}

#[test]
fn answers_are_those_of_a_list_whatever_was_asked_and_restored_before() {
    for seed in 0..4_000 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kind = KINDS[seed as usize % KINDS.len()];
        let plan = plan(&mut rng, kind);
        let context = format!("seed {seed}, {kind:?}, {plan:?}");
        let (mut log, mut list, mut unasked) = (WindowLog::new(), List::default(), WindowLog::new());
        let mut now = rng.random_range(-100..100);
        let asks = rng.random_range(0..=3);
        for _ in 0..rng.random_range(1..200) {
            now += if rng.random_bool(0.03) { rng.random_range(0..80) } else { [0, 0, 1, 1, 2, 6][rng.random_range(0..6)] };
            let (time, value) = (EventTime::from_micros(now), kind.value(&mut rng));
            if rng.random_bool(0.3) {
                log.expire(time);
                if list.end(&plan) <= time {
                    list = List::default();
                }
            }
            for log in [&mut log, &mut unasked] {
                log.take(&plan, &event(time, value.clone()));
            }
            list.take(&plan, time, value);
            for _ in 0..rng.random_range(0..=asks) {
                let as_of = match rng.random_range(0..8) {
                    0..5 => {
                        now += [0, 0, 0, 1, 4][rng.random_range(0..5)];
                        AsOf::Event(EventTime::from_micros(now))
                    }
                    5 => {
                        now += [0, 1, 1, 20][rng.random_range(0..4)];
                        AsOf::Deadline(EventTime::from_micros(now))
                    }
                    _ => AsOf::Deadline(EventTime::from_micros(now - rng.random_range(0..70))),
                };
                let view = rng.random_range(0..plan.views.len());
                for again in 0..rng.random_range(1..=2) {
                    let (faults, wanted_faults) = (Cell::new(0), Cell::new(0));
                    let (value, wanted) = (log.answer(&plan, view, as_of, &faults), list.answer(&plan, view, as_of, &wanted_faults));
                    assert!(same(&value, &wanted), "{context}: {view} {as_of:?} is {value:?}, not {wanted:?} of {:?}", list.entries);
                    assert_eq!(faults, wanted_faults, "{context}: {view} {as_of:?}, asked {again} times before");
                }
            }
            assert_eq!((log.is_empty(), log.end()), (false, list.end(&plan)), "{context}");
            assert_eq!(bytes_of(&log), bytes_of(&unasked), "{context}");
            if rng.random_bool(0.1) {
                log = restored(&plan, &log);
                list.asked.clear();
                assert_eq!((log.end(), bytes_of(&log)), (unasked.end(), bytes_of(&unasked)), "{context}");
            }
        }
        log.expire(EventTime::from_micros(list.end(&plan).micros() - 1));
        assert_eq!(bytes_of(&log), bytes_of(&unasked), "{context}");
        log.expire(list.end(&plan));
        assert_eq!((log.is_empty(), log.end(), bytes_of(&log)), (true, EventTime::END, vec![0, 0]), "{context}");
    }
}

#[test]
fn a_view_of_nothing_is_the_same_at_any_time_and_no_fault() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for kind in KINDS {
        for _ in 0..20 {
            let (plan, faults) = (plan(rng, kind), Cell::new(0));
            let at = EventTime::from_micros(rng.random_range(-1_000..1_000_000));
            for (view, as_of) in (0..plan.views.len()).flat_map(|view| [(view, AsOf::Event(at)), (view, AsOf::Deadline(at))]) {
                let expected = List::default().answer(&plan, view, as_of, &faults);
                for answer in [plan.of_nothing(view), WindowLog::new().answer(&plan, view, as_of, &faults)] {
                    assert!(same(&answer, &expected), "{answer:?}, expected {expected:?}: {:?} as of {as_of:?}", plan.views[view]);
                }
            }
            assert_eq!(faults.get(), 0, "{plan:?}");
        }
    }
}

#[test]
fn what_is_in_ends_where_windows_do() {
    let [sliding, tumbling, session] = [WindowSpan::Sliding, WindowSpan::Tumbling, WindowSpan::Session].map(|span| span(TimeSpan::from_micros(10)));
    let at = |micros| AsOf::Event(EventTime::from_micros(micros));
    let until = |micros| AsOf::Deadline(EventTime::from_micros(micros));
    let crowd: Vec<i64> = (0..30).collect();
    let table: [(WindowSpan, &[i64], AsOf, i64); 27] = [
        (sliding, &[], at(0), 0),
        (sliding, &[0, 5], at(9), 2),
        (sliding, &[0, 5], at(10), 1),
        (sliding, &[0, 5], at(15), 0),
        (sliding, &[0, 5, 5], until(5), 1),
        (sliding, &[0, 5, 5], until(6), 3),
        (sliding, &crowd, at(29), 10),
        (sliding, &crowd, until(29), 9),
        (tumbling, &[-1, 0, 9], at(9), 2),
        (tumbling, &[-1, 0, 9], at(10), 0),
        (tumbling, &[-2, -1], at(-1), 2),
        (tumbling, &[-2, -1], at(0), 0),
        (tumbling, &[-2, -1, 0], until(0), 0),
        (tumbling, &crowd, at(29), 10),
        (tumbling, &crowd, until(28), 8),
        (session, &[0, 9, 18], at(27), 3),
        (session, &[0, 9, 18], at(28), 0),
        (session, &[0, 10], at(10), 1),
        (session, &[0, 10, 10], until(10), 0),
        (session, &[0, 9, 9], until(9), 1),
        (session, &[0, 9, 30], until(18), 2),
        (session, &[0, 9, 30], until(19), 0),
        (session, &crowd, at(38), 30),
        (session, &crowd, at(39), 0),
        (session, &crowd, until(15), 15),
        (session, &[i64::MIN + 1, i64::MAX - 1], at(i64::MAX - 1), 1),
        (sliding, &[i64::MIN + 1, i64::MIN + 2], at(i64::MIN + 2), 2),
    ];
    for (span, times, as_of, wanted) in table {
        // Alone, and in a log that keeps what other views count; what has left is in as of no deadline.
        let wider = View { span: WindowSpan::Sliding(TimeSpan::from_micros(100)), aggregate: Some(Aggregate::Sum) };
        let is_event = matches!(as_of, AsOf::Event(_));
        for others in [vec![wider], Vec::new()].into_iter().take(1 + usize::from(is_event)) {
            let views = [None, Some(Aggregate::Sum), Some(Aggregate::Distinct)].map(|aggregate| View { span, aggregate });
            let plan = LogPlan { path: Some([1].into()), views: views.into_iter().chain(others).collect() };
            let mut log = WindowLog::new();
            for time in times {
                log.take(&plan, &event(EventTime::from_micros(*time), Value::Int(1)));
            }
            for (view, wanted) in [wanted, wanted, wanted.min(1)].into_iter().enumerate() {
                let answer = log.answer(&plan, view, as_of, &Cell::new(0));
                assert_eq!(answer, Value::Int(wanted), "{span:?} of {times:?} {as_of:?}, view {view} of {}", plan.views.len());
            }
        }
    }
}

#[test]
fn events_that_a_view_counts_stay_and_no_others() {
    let span = TimeSpan::from_micros(10);
    let table: [(&[WindowSpan], &[i64], usize); 8] = [
        (&[WindowSpan::Sliding(span)], &[0, 1, 10], 2),
        (&[WindowSpan::Sliding(span)], &[0, 1, 11], 1),
        (&[WindowSpan::Tumbling(span)], &[0, 9, 10], 1),
        (&[WindowSpan::Session(span)], &[0, 9, 18, 27], 4),
        (&[WindowSpan::Session(span)], &[0, 9, 19], 1),
        (&[WindowSpan::Session(span), WindowSpan::Sliding(TimeSpan::from_micros(15))], &[0, 9, 19], 2),
        (&[WindowSpan::Session(span), WindowSpan::Sliding(TimeSpan::from_micros(15))], &[0, 9, 18, 27], 4),
        (&[WindowSpan::Tumbling(span), WindowSpan::Sliding(TimeSpan::from_micros(3))], &[0, 8, 9, 10], 3),
    ];
    for (spans, times, wanted) in table {
        let plan = LogPlan { path: None, views: spans.iter().map(|span| View { span: *span, aggregate: None }).collect() };
        let mut log = WindowLog::new();
        times.iter().for_each(|time| log.take(&plan, &event(EventTime::from_micros(*time), Value::Null)));
        assert_eq!(log.times.len(), wanted, "{spans:?} {times:?}");
    }
}

#[test]
fn a_log_of_one_event_is_small_and_has_no_state() {
    let view = |aggregate| View { span: WindowSpan::Session(TimeSpan::from_secs(1)), aggregate: Some(aggregate) };
    let plan = LogPlan { path: Some([1].into()), views: vec![view(Aggregate::Sum), view(Aggregate::Distinct)] };
    let mut log = WindowLog::new();
    log.take(&plan, &event(EventTime::from_micros(0), Value::Int(1)));
    assert_eq!(log.answer(&plan, 0, AsOf::Event(EventTime::from_micros(0)), &Cell::new(0)), Value::Int(1));
    assert_eq!((size_of::<WindowLog>(), log.times.capacity(), log.values.capacity(), log.state.is_none()), (88, 1, 1, true));
    let log = restored(&plan, &log);
    assert_eq!((log.times.capacity(), log.values.capacity()), (1, 1));
}

#[test]
fn bytes_cut_short_or_changed_are_refused_or_read_but_never_panic() {
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kind = KINDS[seed as usize % KINDS.len()];
        let plan = plan(&mut rng, kind);
        let mut log = WindowLog::new();
        for time in 0..12 {
            log.take(&plan, &event(EventTime::from_micros(time / 4), kind.value(&mut rng)));
        }
        let bytes = bytes_of(&log);
        for length in 0..bytes.len() {
            assert!(WindowLog::decode(&plan, [&bytes[..length]]).is_err(), "{length} bytes");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << rng.random_range(0..8);
            let Ok(mut log) = WindowLog::decode(&plan, [&changed[..]]) else { continue };
            let last = log.times.back().copied().unwrap_or(EventTime::BEGINNING);
            for later in [last, last.plus(TimeSpan::from_micros(3))] {
                for view in 0..plan.views.len() {
                    log.answer(&plan, view, AsOf::Event(later), &Cell::new(0));
                    log.answer(&plan, view, AsOf::Deadline(last), &Cell::new(0));
                }
                log.take(&plan, &event(later, kind.value(&mut rng)));
            }
        }
    }
    let plan = LogPlan { path: None, views: vec![View { span: WindowSpan::Sliding(TimeSpan::from_secs(1)), aggregate: None }] };
    for (bytes, is_read) in [(&[0, 2, 2, 0][..], true), (&[0, 2, 2, 1], false), (&[0xff; 5], false), (&[0, 0xff, 0xff, 0xff, 0xff], false), (&[], false)] {
        assert_eq!(WindowLog::decode(&plan, [bytes]).is_ok(), is_read, "{bytes:?}");
    }
}

/// What a store has of a log, by segment.
type Stored = BTreeMap<Option<u64>, Vec<u8>>;

/// Returns what was told.
fn tell(log: &mut WindowLog, stored: &mut Stored) -> Vec<(Option<u64>, Option<Vec<u8>>)> {
    let mut told = Vec::new();
    log.tell(|segment, value| told.push((segment, value)));
    for (segment, value) in &told {
        match value {
            Some(value) => stored.insert(*segment, value.clone()),
            None => stored.remove(segment),
        };
    }
    told
}

/// What is told is bounded, the same after restarts, and all that there is.
#[test]
fn a_store_has_all_of_a_log_and_is_told_little_of_it() {
    let mut most_segments = 0;
    for seed in 0..400 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let kind = KINDS[seed as usize % KINDS.len()];
        let plan = plan(&mut rng, kind);
        let (mut log, mut whole) = (WindowLog::new(), WindowLog::new());
        let (mut stored, mut stored_of_whole) = (Stored::new(), Stored::new());
        let mut now = 0;
        for _ in 0..150 {
            for _ in 0..rng.random_range(0..12) {
                now += if rng.random_bool(0.01) { 100 } else { rng.random_range(0..3) };
                let event = event(EventTime::from_micros(now), kind.value(&mut rng));
                log.take(&plan, &event);
                whole.take(&plan, &event);
            }
            if rng.random_bool(0.05) {
                now += 100;
                whole.expire(EventTime::from_micros(now));
                // Where it is told at once, or was not told to let go before the next event comes.
                if rng.random() {
                    log.expire(EventTime::from_micros(now));
                    tell(&mut log, &mut stored);
                }
                continue;
            }
            let told = tell(&mut log, &mut stored);
            tell(&mut whole, &mut stored_of_whole);
            if log.is_empty() == whole.is_empty() {
                assert_eq!(stored, stored_of_whole, "seed {seed}");
            }
            let entries = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, |value| part(&plan, value).times.len());
            assert!(told.iter().all(|(_, value)| entries(value) < 8), "seed {seed}");
            most_segments = most_segments.max(stored.len());
            if !log.is_empty() {
                let restored = WindowLog::decode(&plan, stored.values().map(Vec::as_slice)).expect("all that was told");
                assert_eq!((restored.times.clone(), restored.end, bytes_of(&restored)), (log.times.clone(), log.end, bytes_of(&log)), "seed {seed}");
                let head = &stored[&None];
                assert_eq!(WindowLog::end_of_part(&plan, head), Ok(Some(log.end)));
                let Ok(LogPart::Log(segments)) = LogPart::of(head) else { panic!("a log") };
                assert!(segments.map(Some).eq(stored.keys().copied().filter(Option::is_some)), "seed {seed}");
                if rng.random_bool(0.3) {
                    log = if rng.random() { restored } else { self::restored(&plan, &log) };
                }
            }
        }
        log.expire(EventTime::END);
        tell(&mut log, &mut stored);
        assert!(stored.is_empty() && log.segments.is_none(), "seed {seed}: {stored:?}");
    }
    assert!(most_segments > 10, "{most_segments} segments");
}

/// The entries that are written there.
fn part(plan: &LogPlan, bytes: &[u8]) -> WindowLog {
    let mut reader = Reader::new(bytes);
    match LogPart::of(bytes).expect("a part") {
        LogPart::Segment(_) => {
            reader.byte("tag").expect("a tag");
            reader.unsigned("number").expect("a number");
        }
        LogPart::Log(segments) => {
            reader.byte("tag").expect("a tag");
            if !segments.is_empty() {
                for what in ["first", "count", "gone"] {
                    reader.unsigned(what).expect("a number");
                }
            }
        }
    }
    let mut log = WindowLog::new();
    log.read_entries(plan, &mut reader).expect("entries");
    log
}
