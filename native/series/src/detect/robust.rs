//! Median and spread of the last numbers, kept sorted as they come and go.

use std::collections::VecDeque;

/// Makes the median absolute deviation comparable with a standard deviation (normal distribution).
const MAD_TO_SIGMA: f64 = 1.482_602_218_505_602;
/// The same for the mean absolute deviation, the fallback where more than half the numbers are equal.
const MEAN_TO_SIGMA: f64 = 1.253_314_137_315_500_3;

#[derive(Debug)]
pub(super) struct Ring {
    pub(super) order: VecDeque<f64>,
    pub(super) sorted: Vec<f64>,
}

impl Ring {
    pub(super) fn push(&mut self, value: f64, capacity: usize) {
        if self.order.len() >= capacity
            && let Some(oldest) = self.order.pop_front()
            && let Ok(place) = self.sorted.binary_search_by(|own| own.total_cmp(&oldest))
        {
            self.sorted.remove(place);
        }
        let place = self
            .sorted
            .partition_point(|own| own.total_cmp(&value).is_lt());
        self.sorted.insert(place, value);
        self.order.push_back(value);
    }

    /// The median, and the spread as a standard deviation; 0 if all numbers are equal. None if there is none.
    pub(super) fn median_and_scale(&self) -> Option<(f64, f64)> {
        let median = middle(&self.sorted)?;
        let split = self.sorted.partition_point(|own| *own < median);
        let (below, above) = self.sorted.split_at_checked(split)?;
        // Both halves' distances ascend outwards from the median: merge them as far as the middle.
        let mut below = below.iter().rev().map(|own| median - own).peekable();
        let mut above = above.iter().map(|own| own - median).peekable();
        let count = self.sorted.len();
        let (mut before, mut last) = (0.0, 0.0);
        for _ in 0..=count / 2 {
            let nearer = match (below.peek(), above.peek()) {
                (Some(left), Some(right)) if left < right => below.next(),
                (Some(_), None) => below.next(),
                _ => above.next(),
            };
            (before, last) = (last, nearer?);
        }
        let mad = if count.is_multiple_of(2) {
            (before + last) / 2.0
        } else {
            last
        };
        if mad > 0.0 {
            return Some((median, mad * MAD_TO_SIGMA));
        }
        let total: f64 = self.sorted.iter().map(|own| (own - median).abs()).sum();
        Some((median, total / count as f64 * MEAN_TO_SIGMA))
    }
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if !sorted.len().is_multiple_of(2) {
        return Some(upper);
    }
    let lower = *sorted.get(sorted.len() / 2 - 1)?;
    Some(lower + (upper - lower) / 2.0)
}
