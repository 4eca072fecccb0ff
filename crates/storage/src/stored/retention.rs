//! Retention, the same over both databases: which ids are old enough, and how far a page goes.

use uuid::Uuid;

use crate::retention::Pruned;

/// Parts of trees that one step takes away: some ten milliseconds of writing. A tree may have more, and then goes alone.
pub(crate) const PART_ROWS: i64 = 2_000;

/// A row that was looked at.
pub(crate) struct Looked {
    pub(crate) id: Uuid,
    /// Whether it is over, and nothing needs it.
    pub(crate) goes: bool,
    /// The rows below it.
    pub(crate) weight: i64,
}

/// The first id that could have been made at a time; ids begin with theirs.
pub(crate) fn first_id_of(ms: i64) -> Uuid {
    Uuid::from_u128(u128::from(ms.max(0).unsigned_abs()) << 80)
}

/// The time before which something must have ended to go.
pub(crate) fn before(now: i64, keep_ms: u64) -> i64 {
    now.saturating_sub(i64::try_from(keep_ms).unwrap_or(i64::MAX))
}

/// Chooses what goes with this step from a page of at most `limit` rows: as much as is not too much at once.
pub(crate) fn choose<T>(page: &[Looked], limit: u32, most: i64, id: impl Fn(Uuid) -> T) -> Pruned<T> {
    let (mut gone, mut weight, mut last) = (Vec::new(), 0, None);
    for row in page {
        if row.goes {
            weight += row.weight;
            if weight > most && !gone.is_empty() {
                return Pruned { gone, next: last.map(id) };
            }
            gone.push(id(row.id));
        }
        last = Some(row.id);
    }
    let full = page.len() >= limit as usize;
    Pruned { gone, next: last.filter(|_| full).map(id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(weights: &[i64]) -> Vec<Looked> {
        let row = |(number, weight): (u128, &i64)| Looked {
            id: Uuid::from_u128(number),
            goes: *weight > 0,
            weight: *weight,
        };
        (1..).zip(weights).map(row).collect()
    }

    fn chosen(weights: &[i64], limit: u32) -> (Vec<u128>, Option<u128>) {
        let pruned = choose(&page(weights), limit, 10, |id| id.as_u128());
        (pruned.gone, pruned.next)
    }

    #[test]
    fn a_step_ends_before_it_is_too_much_and_goes_on_behind_what_it_has_looked_at() {
        assert_eq!(chosen(&[], 3), (vec![], None));
        assert_eq!(chosen(&[4, 0], 3), (vec![1], None), "the last page");
        assert_eq!(chosen(&[4, 0, 4], 3), (vec![1, 3], Some(3)));
        assert_eq!(chosen(&[0, 0, 0], 3), (vec![], Some(3)), "a page of rows that stay");
        assert_eq!(chosen(&[4, 0, 7], 5), (vec![1], Some(2)), "the third is taken with the next step");
        assert_eq!(chosen(&[50, 1], 5), (vec![1], Some(1)), "a large one goes alone");
    }

    #[test]
    fn an_id_of_a_time_is_not_before_the_first_of_it() {
        let at = 1_790_000_000_123_i64;
        assert!(first_id_of(at) <= Uuid::from_u128((1_790_000_000_123_u128 << 80) | 5));
        assert!(first_id_of(at) > Uuid::from_u128((1_790_000_000_122_u128 << 80) | (1 << 79)));
        assert_eq!(first_id_of(-5), Uuid::nil());
    }
}
