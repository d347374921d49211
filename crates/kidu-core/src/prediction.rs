//! What a classifier says about one image.

use serde::{Deserialize, Serialize, ser::SerializeMap};

use crate::labels::ClassNames;

/// The most probable class of one image and the probabilities of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The most probable class.
    pub label: String,
    /// Its probability, in [0, 1].
    pub score: f32,
    /// Every class with its probability, most probable first; as JSON an object in that order.
    #[serde(serialize_with = "as_map", deserialize_with = "from_map")]
    pub probabilities: Vec<(String, f32)>,
}

impl Prediction {
    /// From logits: softmax of `logits / temperature`, computed in float64.
    ///
    /// Ties keep the order of the classes. `temperature` is the calibration temperature, greater than 0.
    ///
    /// ```
    /// # use kidu_core::{ClassNames, Prediction};
    /// let classes = ClassNames::new(["sea", "forest"]).unwrap();
    /// let p = Prediction::from_logits(&[0.0, 3f32.ln()], 1.0, &classes);
    /// assert_eq!(p.label, "forest");
    /// assert!((p.score - 0.75).abs() < 1e-6);
    /// ```
    pub fn from_logits(logits: &[f32], temperature: f64, classes: &ClassNames) -> Self {
        let probabilities = softmax(logits, temperature);
        let mut order: Vec<usize> = (0..classes.len().min(probabilities.len())).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let ranked: Vec<(String, f32)> = order.iter().map(|i| (classes[*i].to_string(), probabilities[*i])).collect();
        let (label, score) = ranked[0].clone();
        Self { label, score, probabilities: ranked }
    }

    /// Shannon entropy of the probabilities divided by its maximum, in [0, 1]: 0 is certain, 1 is uniform.
    pub fn entropy(&self) -> f32 {
        let n = self.probabilities.len();
        if n < 2 {
            return 0.0;
        }
        let h: f64 =
            self.probabilities.iter().map(|(_, p)| f64::from(*p)).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
        (h / (n as f64).ln()).clamp(0.0, 1.0) as f32
    }

    /// Probability of the best class minus that of the second best, in [0, 1].
    pub fn margin(&self) -> f32 {
        self.score - self.probabilities.get(1).map_or(0.0, |(_, p)| *p)
    }
}

/// Softmax of `logits / temperature`, in float64, returned as float32. The probabilities sum to 1.
pub fn softmax(logits: &[f32], temperature: f64) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = logits.iter().map(|l| ((f64::from(*l) - f64::from(max)) / temperature).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| (e / sum) as f32).collect()
}

fn as_map<S: serde::Serializer>(pairs: &[(String, f32)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (name, p) in pairs {
        map.serialize_entry(name, p)?;
    }
    map.end()
}

fn from_map<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, f32)>, D::Error> {
    struct Pairs;
    impl<'de> serde::de::Visitor<'de> for Pairs {
        type Value = Vec<(String, f32)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object from class name to probability")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }
    deserializer.deserialize_map(Pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranked_and_round_trips() {
        let classes = ClassNames::new(["a", "b", "c"]).unwrap();
        let p = Prediction::from_logits(&[1.0, 3.0, 2.0], 1.0, &classes);
        let names: Vec<_> = p.probabilities.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["b", "c", "a"]);
        let json = serde_json::to_string(&p).unwrap();
        assert_eq!(serde_json::from_str::<Prediction>(&json).unwrap(), p);
        assert!(json.find("\"b\"").unwrap() < json.find("\"c\"").unwrap());
    }

    #[test]
    fn huge_logits_do_not_overflow_and_uniform_has_entropy_one() {
        assert_eq!(softmax(&[1e30, 0.0], 1.0), [1.0, 0.0]);
        let classes = ClassNames::new(["a", "b"]).unwrap();
        let p = Prediction::from_logits(&[5.0, 5.0], 2.0, &classes);
        assert!((p.entropy() - 1.0).abs() < 1e-6 && p.margin() == 0.0 && p.label == "a");
    }
}
