//! Whose turn it is: smooth weighted round robin, as nginx has it. The same weights give the same order.

/// Turns among backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancer {
    weights: Vec<u32>,
    /// How far each is behind its share.
    current: Vec<i64>,
}

impl Balancer {
    /// Turns by weight. Weight 0 has no turn unless all have it.
    pub fn new(weights: Vec<u32>) -> Self {
        Self { current: vec![0; weights.len()], weights }
    }

    /// Who is next; `None` where there is nobody.
    pub fn turn(&mut self) -> Option<usize> {
        let total: i64 = self.weights.iter().map(|w| i64::from(*w)).sum();
        let mut best: Option<usize> = None;
        for i in 0..self.weights.len() {
            self.current[i] += i64::from(self.weights[i]);
            let takes_part = self.weights[i] > 0 || total == 0;
            if takes_part && best.is_none_or(|b| self.current[i] > self.current[b]) {
                best = Some(i);
            }
        }
        if let Some(best) = best {
            self.current[best] -= total;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_spread_evenly() {
        let mut balancer = Balancer::new(vec![5, 1, 1]);
        let turns: Vec<_> = (0..7).map(|_| balancer.turn().unwrap()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(Balancer::new(vec![]).turn(), None);
        assert_eq!(Balancer::new(vec![0, 0]).turn(), Some(0), "better somebody who stands by than nobody");
    }

    proptest! {
        #[test]
        fn each_round_gives_everybody_exactly_the_share(weights in prop::collection::vec(0u32..20, 1..5)) {
            let round: u32 = weights.iter().sum();
            prop_assume!(round > 0);
            let mut balancer = Balancer::new(weights.clone());
            for _ in 0..3 {
                let mut counts = vec![0; weights.len()];
                (0..round).for_each(|_| counts[balancer.turn().unwrap()] += 1);
                prop_assert_eq!(&counts, &weights);
            }
        }
    }
}
