//! Measures: numbers that only grow, counted while things happen, and read by whoever shows them.
//!
//! Counting is on the way of every call: it is one addition to one number, waits for nobody, and allocates nothing but the first time
//! that a name comes. What is read is as consistent as that allows: each number is right, and two numbers may be a moment apart.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Names that are told apart in one set of measures. An organisation has some tens of environments and some hundred capabilities;
/// each more costs whoever keeps the numbers a series for every bucket.
pub const NAMES_MAX: usize = 200;

/// Places for them: twice as many, so that a name is found with a look or two.
const PLACES: usize = 2 * NAMES_MAX;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

/// What a histogram is about: where its buckets end, and how its numbers are told.
#[derive(Debug)]
pub struct Scale {
    /// The largest value of each bucket, in growing order; one more bucket takes what is larger than all of them.
    pub ends: &'static [u64],
    /// How many of what is counted make one of what is told.
    pub per_told: f64,
}

/// Microseconds, told as seconds, for what is over in milliseconds.
pub static QUICK: Scale = Scale {
    ends: &[
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        10_000_000,
    ],
    per_told: 1e6,
};

/// Microseconds, told as seconds, for what other services do, and for waiting.
pub static SLOW: Scale = Scale {
    ends: &[
        10_000,
        50_000,
        200_000,
        1_000_000,
        5_000_000,
        15_000_000,
        60_000_000,
        300_000_000,
        1_800_000_000,
    ],
    per_told: 1e6,
};

/// Whole numbers of some hundreds at most.
pub static FEW: Scale = Scale { ends: &[1, 2, 4, 8, 16, 32, 64, 128, 256], per_told: 1.0 };

/// Buckets of a histogram; no scale has as many ends.
const BUCKETS: usize = 16;

/// How often values came that were no larger than each of some bounds.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    counts: [Counter; BUCKETS],
    sum: Counter,
}

/// A histogram as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// All values together.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// The end of each bucket, the last without one, with how many values fell into it and no lower one.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Nothing yet.
    pub fn of(scale: &'static Scale) -> Self {
        debug_assert!(scale.ends.len() < BUCKETS, "one bucket is left for what is larger than all");
        Self { scale, counts: Default::default(), sum: Counter::default() }
    }

    /// Notes a value.
    pub fn note(&self, value: u64) {
        let bucket = self.scale.ends.partition_point(|end| *end < value);
        self.counts[bucket].add_one();
        self.sum.add(value);
    }

    /// Notes a span, on a scale of microseconds.
    pub fn note_span(&self, span: Duration) {
        self.note(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    }

    /// The same, given in milliseconds.
    pub fn note_ms(&self, span_ms: u64) {
        self.note(span_ms.saturating_mul(1_000));
    }

    /// As it is now.
    pub fn told(&self) -> Told {
        let ends = self.scale.ends.iter().map(|end| *end as f64 / self.scale.per_told).chain([f64::INFINITY]);
        let buckets: Vec<_> = ends.zip(&self.counts).map(|(end, count)| (end, count.get())).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Told { sum: self.sum.get() as f64 / self.scale.per_told, count, buckets }
    }
}

/// What a measure is of: a place, and perhaps a thing there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name<'a> {
    /// The environment, or whatever else comes first.
    pub first: &'a str,
    /// The domain of a contract; empty when nothing follows.
    pub domain: &'a str,
    /// The name of a contract within its domain; empty when nothing follows.
    pub name: &'a str,
}

impl<'a> Name<'a> {
    /// A place alone.
    pub fn place(first: &'a str) -> Self {
        Self { first, domain: "", name: "" }
    }

    /// What stands for all names that found no room.
    pub const OTHER: Name<'static> = Name { first: "other", domain: "other", name: "other" };
}

/// A name that is kept, with what was counted of it.
#[derive(Debug)]
struct Kept<T> {
    first: Box<str>,
    domain: Box<str>,
    name: Box<str>,
    counted: T,
}

impl<T> Kept<T> {
    fn name(&self) -> Name<'_> {
        Name { first: &self.first, domain: &self.domain, name: &self.name }
    }
}

/// Measures of the same kind by name, a bounded number of them: all further names are counted together, as [`Name::OTHER`].
///
/// A place is taken once and for all, so that looking for one waits for nobody.
#[derive(Debug)]
pub struct Named<T> {
    places: Box<[OnceLock<Box<Kept<T>>>]>,
    taken: AtomicUsize,
    other: T,
}

impl<T: Default> Default for Named<T> {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| OnceLock::new()).collect(),
            taken: AtomicUsize::new(0),
            other: T::default(),
        }
    }
}

impl<T: Default> Named<T> {
    /// The measures of a name.
    pub fn of(&self, name: Name<'_>) -> &T {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let first = usize::try_from(hasher.finish() % PLACES as u64).expect("a remainder is small");
        for step in 0..PLACES {
            let place = &self.places[(first + step) % PLACES];
            let kept = match place.get() {
                Some(kept) => kept,
                // Looked at first, so that what is beyond writes nothing that all of them share.
                None if self.taken.load(Ordering::Relaxed) < NAMES_MAX
                    && self.taken.fetch_add(1, Ordering::Relaxed) < NAMES_MAX =>
                {
                    let mut is_mine = false;
                    let kept = place.get_or_init(|| {
                        is_mine = true;
                        Box::new(kept(name))
                    });
                    // Somebody else was there first, and has counted it.
                    if !is_mine {
                        self.taken.fetch_sub(1, Ordering::Relaxed);
                    }
                    kept
                }
                None => return &self.other,
            };
            if kept.name() == name {
                return &kept.counted;
            }
        }
        &self.other
    }

    /// All that there are by name, in their order, and at last those of all further names.
    pub fn all(&self) -> Vec<(Name<'_>, &T)> {
        let kept = self.places.iter().filter_map(OnceLock::get);
        let mut all: Vec<_> = kept.map(|kept| (kept.name(), &kept.counted)).collect();
        all.sort_by_key(|(name, _)| *name);
        all.push((Name::OTHER, &self.other));
        all
    }
}

fn kept<T: Default>(name: Name<'_>) -> Kept<T> {
    Kept {
        first: name.first.into(),
        domain: name.domain.into(),
        name: name.name.into(),
        counted: T::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_it_is_not_larger_than() {
        let histogram = Histogram::of(&FEW);
        [0, 1, 2, 3, 256, 257].into_iter().for_each(|value| histogram.note(value));
        let told = histogram.told();
        let filled: Vec<_> = told.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1.0, 2), (2.0, 1), (4.0, 1), (256.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((told.count, told.sum), (6, 519.0));
    }

    #[test]
    fn spans_are_told_in_seconds() {
        let histogram = Histogram::of(&QUICK);
        histogram.note_ms(2);
        histogram.note_span(Duration::from_micros(500));
        let told = histogram.told();
        assert_eq!(told.sum, 0.0025);
        assert_eq!(told.buckets[..3], [(0.0005, 1), (0.001, 0), (0.0025, 1)]);
    }

    #[test]
    fn names_beyond_the_limit_are_counted_together() {
        let named = Named::<Counter>::default();
        let names: Vec<String> = (0..NAMES_MAX + 50).map(|number| format!("qa{number}")).collect();
        for _ in 0..2 {
            names.iter().for_each(|name| named.of(Name::place(name)).add_one());
        }
        let all = named.all();
        assert_eq!(all.len(), NAMES_MAX + 1);
        let (other, all) = all.split_last().unwrap();
        assert_eq!((other.0, other.1.get()), (Name::OTHER, 100));
        assert!(all.iter().all(|(_, counter)| counter.get() == 2));
    }

    #[test]
    fn one_name_has_one_place_however_many_count_at_once() {
        let named = Named::<Counter>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10_000_u32 {
                        let name = (number % 20).to_string();
                        named.of(Name { first: "qa", domain: "shop", name: &name }).add_one();
                    }
                });
            }
        });
        let counted: Vec<u64> = named.all().iter().map(|(_, counter)| counter.get()).collect();
        assert_eq!(counted, [vec![2_000; 20], vec![0]].concat());
    }
}
