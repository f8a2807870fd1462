//! Loops that time round trips, the same for all that is compared.

use std::time::{Duration, Instant};

use serde_json::{json, Value};

use crate::allocations;

/// Latencies of one row, over its rounds.
pub struct Samples {
    /// Of the round that runs; room for all of it first, so that a sample costs no allocation.
    round: Vec<u64>,
    all: Vec<u64>,
    quietest_p50: Option<u64>,
    allocations: u64,
}

fn percentile(sorted: &[u64], share: f64) -> u64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

impl Samples {
    pub fn new() -> Samples {
        Samples {
            round: Vec::with_capacity(1 << 20),
            all: Vec::new(),
            quietest_p50: None,
            allocations: 0,
        }
    }

    /// A round of fewer samples than `least` says nothing of a median.
    fn end_round(&mut self, least: usize) {
        self.round.sort_unstable();
        if self.round.len() >= least {
            let p50 = percentile(&self.round, 0.5);
            self.quietest_p50 = Some(self.quietest_p50.map_or(p50, |before| before.min(p50)));
        }
        self.all.append(&mut self.round);
    }

    /// `quietest_p50` is the median of that round in which it was lowest. On a machine with other work to do a round
    /// is about that work; ratios are taken where it was out of the way for both sides.
    pub fn report(&mut self) -> Value {
        self.all.sort_unstable();
        json!({
            "p50": percentile(&self.all, 0.5),
            "p99": percentile(&self.all, 0.99),
            "quietest_p50": self.quietest_p50,
            "samples": self.all.len(),
            "allocations": self.allocations as f64 / self.all.len().max(1) as f64,
        })
    }

    /// One after the other, for a while. The first are not counted: caches, predictors and spin budgets settle.
    pub fn back_to_back(&mut self, duration: Duration, mut trip: impl FnMut()) {
        const WARM_UP: usize = 256;
        let clock = clock_cost_ns();
        let began = Instant::now();
        for _ in 0..WARM_UP {
            trip();
            if began.elapsed() > duration {
                break;
            }
        }
        let allocated = allocations::count();
        let began = Instant::now();
        let mut before = began;
        while before - began < duration && self.round.len() < self.round.capacity() {
            trip();
            let after = Instant::now();
            self.round
                .push(((after - before).as_nanos() as u64).saturating_sub(clock));
            before = after;
        }
        self.allocations += allocations::count() - allocated;
        self.end_round(100);
    }

    /// One after each pause: both sides have gone to sleep.
    pub fn paced(&mut self, count: usize, mut trip: impl FnMut()) {
        const WARM_UP: usize = 12; // after so many long gaps an adaptive spinner has given up spinning
        let clock = clock_cost_ns();
        for at in 0..count + WARM_UP {
            std::thread::sleep(Duration::from_micros(1500));
            let allocated = allocations::count();
            let before = Instant::now();
            trip();
            let ns = before.elapsed().as_nanos() as u64;
            if at >= WARM_UP {
                self.round.push(ns.saturating_sub(clock));
                self.allocations += allocations::count() - allocated;
            }
        }
        self.end_round(1);
    }
}

/// Every sample holds one look at the clock, and is counted without it.
fn clock_cost_ns() -> u64 {
    const READS: u32 = 2000;
    let one_round = |_| {
        let began = Instant::now();
        for _ in 1..READS {
            let _ = Instant::now();
        }
        (began.elapsed() / READS).as_nanos() as u64
    };
    (0..20).map(one_round).min().unwrap_or(0)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}
