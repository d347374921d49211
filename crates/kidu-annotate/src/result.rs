//! Predictions in Label Studio's shape.

use kidu_core::Prediction;
use serde::{Serialize, Serializer};

use crate::form::Form;

/// One task's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskResult {
    /// A prediction.
    Predicted(Box<Predicted>),
    /// None: `{}`, which Label Studio neither stores nor counts, and asks for again.
    Missing,
}

impl Serialize for TaskResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Nothing {}
        match self {
            Self::Predicted(predicted) => predicted.serialize(serializer),
            Self::Missing => Nothing {}.serialize(serializer),
        }
    }
}

/// A prediction as Label Studio stores it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Predicted {
    /// One answer.
    pub result: [Answer; 1],
    /// Probability of the choice, in [0, 1]: what Label Studio sorts by.
    pub score: f32,
    /// The version that `/setup` tells.
    pub model_version: String,
}

/// The answer to the form's question. Label Studio keeps `score` and `meta` as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Name of the `<Choices>` tag.
    pub from_name: String,
    /// Name of the `<Image>` tag.
    pub to_name: String,
    /// `choices`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The choice.
    pub value: Chosen,
    /// Probability of the choice, in [0, 1].
    pub score: f32,
    /// How sure the model is.
    pub meta: Meta,
}

/// The choice, in a list as Label Studio wants it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chosen {
    /// One.
    pub choices: [String; 1],
}

/// How sure the model is, over all its classes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Meta {
    /// Shannon entropy over its maximum, in [0, 1]: 1 is uniform.
    pub entropy: f32,
    /// Probability of the best less that of the second best, in [0, 1].
    pub margin: f32,
}

/// A prediction as the answer to a form's question: of the choices, the most probable one. The probabilities of classes
/// that stand for the same choice are added. `None` if no class has a choice.
pub fn answer(prediction: &Prediction, form: &Form, model_version: &str) -> Option<Predicted> {
    let mut by_choice = vec![0f64; form.choices().len()];
    let mut others: Vec<(String, f32)> = Vec::new();
    let mut any = false;
    for (class, p) in &prediction.probabilities {
        match form.choice_of(class) {
            Some(index) => {
                by_choice[index] += f64::from(*p);
                any = true;
            }
            None => others.push((class.clone(), *p)),
        }
    }
    let named = by_choice.iter().zip(form.choices()).map(|(p, c)| (c.value.clone(), p.clamp(0.0, 1.0) as f32));
    let named: Vec<(String, f32)> = named.collect();
    let best = named.iter().enumerate().max_by(|(i, a), (j, b)| a.1.total_cmp(&b.1).then(j.cmp(i)))?;
    let (choice, score) = best.1.clone();
    if !any {
        return None;
    }
    let distribution = ranked(named.into_iter().filter(|(_, p)| *p > 0.0).chain(others).collect(), prediction);
    let answer = Answer {
        from_name: form.control.clone(),
        to_name: form.object.clone(),
        kind: "choices",
        value: Chosen { choices: [choice] },
        score,
        meta: Meta { entropy: distribution.entropy(), margin: distribution.margin().clamp(0.0, 1.0) },
    };
    Some(Predicted { result: [answer], score, model_version: model_version.into() })
}

fn ranked(mut probabilities: Vec<(String, f32)>, original: &Prediction) -> Prediction {
    probabilities.sort_by(|a, b| b.1.total_cmp(&a.1));
    match probabilities.first().cloned() {
        Some((label, score)) => Prediction { label, score, probabilities },
        None => original.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(probabilities: &[(&str, f32)]) -> Prediction {
        let probabilities: Vec<(String, f32)> = probabilities.iter().map(|(n, p)| ((*n).to_owned(), *p)).collect();
        let (label, score) = probabilities[0].clone();
        Prediction { label, score, probabilities }
    }

    fn form(choices: &str) -> Form {
        let xml = format!("<View><Image name='i' value='$i'/><Choices name='c' toName='i'>{choices}</Choices></View>");
        Form::parse(&xml, None).unwrap()
    }

    #[test]
    fn the_answer_is_as_label_studio_stores_it() {
        let form = form("<Choice value='sea'/><Choice value='forest'/>");
        let answer = answer(&prediction(&[("sea", 0.75), ("forest", 0.25)]), &form, "m@1").unwrap();
        let value = serde_json::to_value(TaskResult::Predicted(Box::new(answer))).unwrap();
        assert_eq!(value["result"][0]["from_name"], "c");
        assert_eq!(value["result"][0]["to_name"], "i");
        assert_eq!(value["result"][0]["type"], "choices");
        assert_eq!(value["result"][0]["value"]["choices"], serde_json::json!(["sea"]));
        assert_eq!((value["score"].as_f64(), value["model_version"].as_str()), (Some(0.75), Some("m@1")));
        assert_eq!(value["result"][0]["meta"]["margin"], 0.5);
        assert!((value["result"][0]["meta"]["entropy"].as_f64().unwrap() - 0.811_278).abs() < 1e-5);
        assert_eq!(serde_json::to_string(&[TaskResult::Missing]).unwrap(), "[{}]");
    }

    #[test]
    fn classes_of_one_choice_are_added_and_a_class_without_one_gives_way() {
        let form = form("<Choice value='water' predicted_values='sea,lake'/><Choice value='forest'/>");
        let merged = answer(&prediction(&[("forest", 0.4), ("sea", 0.35), ("lake", 0.25)]), &form, "m").unwrap();
        assert_eq!((merged.result[0].value.choices[0].as_str(), merged.score), ("water", 0.6));
        assert!((merged.result[0].meta.margin - 0.2).abs() < 1e-6);
        let lacking = answer(&prediction(&[("street", 0.7), ("forest", 0.2), ("sea", 0.1)]), &form, "m").unwrap();
        assert_eq!((lacking.result[0].value.choices[0].as_str(), lacking.score), ("forest", 0.2));
        assert!((lacking.result[0].meta.margin - 0.5).abs() < 1e-6, "of the model, not of the form");
        assert!(answer(&prediction(&[("street", 1.0)]), &form, "m").is_none());
    }
}
