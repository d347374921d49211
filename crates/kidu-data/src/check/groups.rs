//! From pairs to groups: what is alike of what is alike belongs together.

/// Disjoint sets of `0..n` (union by size, with path halving).
#[derive(Debug)]
pub(crate) struct Groups {
    parents: Vec<usize>,
    sizes: Vec<usize>,
}

impl Groups {
    /// Each alone.
    pub(crate) fn new(n: usize) -> Self {
        Self { parents: (0..n).collect(), sizes: vec![1; n] }
    }

    /// Puts the groups of two members together.
    pub(crate) fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            let (large, small) = if self.sizes[a] >= self.sizes[b] { (a, b) } else { (b, a) };
            self.parents[small] = large;
            self.sizes[large] += self.sizes[small];
        }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parents[i] != i {
            self.parents[i] = self.parents[self.parents[i]];
            i = self.parents[i];
        }
        i
    }

    /// The groups of at least two, each sorted, in the order of their first members.
    pub(crate) fn into_members(mut self) -> Vec<Vec<usize>> {
        let mut members: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
        for i in 0..self.parents.len() {
            let root = self.root(i);
            members.entry(root).or_default().push(i);
        }
        let mut groups: Vec<Vec<usize>> = members.into_values().filter(|g| g.len() > 1).collect();
        groups.sort_unstable();
        groups
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chains_are_one_group() {
        let mut groups = Groups::new(8);
        [(5, 2), (2, 7), (1, 0)].into_iter().for_each(|(a, b)| groups.join(a, b));
        assert_eq!(groups.into_members(), [vec![0, 1], vec![2, 5, 7]]);
    }

    proptest! {
        #[test]
        fn two_are_together_if_a_path_leads_from_one_to_the_other(
            pairs in prop::collection::vec((0usize..20, 0usize..20), 0..25),
        ) {
            let mut groups = Groups::new(20);
            pairs.iter().for_each(|(a, b)| groups.join(*a, *b));
            // Warshall's closure.
            let mut linked = [[false; 20]; 20];
            (0..20).for_each(|i| linked[i][i] = true);
            pairs.iter().for_each(|(a, b)| { linked[*a][*b] = true; linked[*b][*a] = true; });
            for (k, i, j) in (0..20).flat_map(|k| (0..20).flat_map(move |i| (0..20).map(move |j| (k, i, j)))) {
                linked[i][j] |= linked[i][k] && linked[k][j];
            }
            let members = groups.into_members();
            for (i, j) in (0..20).flat_map(|i| (0..20).map(move |j| (i, j))).filter(|(i, j)| i != j) {
                prop_assert_eq!(members.iter().any(|g| g.contains(&i) && g.contains(&j)), linked[i][j]);
            }
        }
    }
}
