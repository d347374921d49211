//! The labelling configuration: which question an answer is for, and which choices it may be.

use std::collections::{BTreeSet, HashMap};

use kidu_core::suggest;
use roxmltree::{Document, Node, ParsingOptions};
use serde::Serialize;

/// The longest configuration that is read, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// The most nodes (tags, texts, comments) of one.
const MAX_NODES: u32 = 200_000;
/// The most choices of a form.
const MAX_CHOICES: usize = 10_000;
/// Names are compared with each other for a hint only up to so many pairs.
const MAX_PAIRS: usize = 10_000;
/// The most names that a message lists.
const MAX_LISTED: usize = 50;

/// Why a labelling configuration cannot be served. The message is for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the labelling configuration cannot be served: {0}")]
pub struct FormError(String);

/// A question about an image with given choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Name of the `<Choices>` tag: `from_name` of a result.
    pub control: String,
    /// Name of the `<Image>` tag: `to_name` of a result.
    pub object: String,
    /// The key of a task's data that holds the image's address.
    pub image_key: String,
    choices: Vec<Choice>,
    /// From a class name to the index of its choice.
    known: HashMap<String, usize>,
}

/// One `<Choice>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What annotators see.
    pub shown: String,
    /// What stands in a result: the alias, or what is shown.
    pub value: String,
}

/// How well a form and a model go together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Match {
    /// Choices that the model never predicts.
    pub choices_without_class: Vec<String>,
    /// Classes that no choice stands for; a prediction of one becomes the best of those that have a choice.
    pub classes_without_choice: Vec<String>,
}

impl Form {
    /// Reads a labelling configuration. `question` names the `<Choices>` tag where there are several.
    ///
    /// # Errors
    /// [`FormError`], which says why no answer can be given to it.
    pub fn parse(xml: &str, question: Option<&str>) -> Result<Self, FormError> {
        if xml.trim().is_empty() {
            return Err(fail("it is empty; set one in the project's settings, with <Image> and <Choices>"));
        }
        if xml.len() > MAX_BYTES {
            return Err(fail(format!("it has {} bytes, more than {MAX_BYTES}", xml.len())));
        }
        let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let document = Document::parse_with_options(xml, options).map_err(|e| fail(format!("it is not XML: {e}")))?;
        let control = find_question(&document, question)?;
        let name = attribute(control, "name").ok_or_else(|| fail("<Choices> has no name"))?;
        check_question(control, name)?;
        let object = find_image(&document, control, name)?;
        let choices = read_choices(control, name)?;
        let known = names_of(control, &choices);
        Ok(Self {
            control: name.into(),
            object: attribute(object, "name").unwrap_or_default().into(),
            image_key: image_key(object)?,
            choices,
            known,
        })
    }

    /// The choices, in the order of the form.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The index of the choice that stands for a class: by its alias, else what is shown, else its `predicted_values`,
    /// else its hint.
    pub fn choice_of(&self, class: &str) -> Option<usize> {
        self.known.get(class).copied()
    }

    /// Which choices and classes have no counterpart.
    pub fn compare<S: AsRef<str>>(&self, classes: &[S]) -> Match {
        let predicted: BTreeSet<usize> = classes.iter().filter_map(|c| self.choice_of(c.as_ref())).collect();
        let choices = self.choices.iter().enumerate().filter(|(i, _)| !predicted.contains(i));
        let missing = classes.iter().map(AsRef::as_ref).filter(|c| self.choice_of(c).is_none());
        Match {
            choices_without_class: choices.map(|(_, c)| c.value.clone()).collect(),
            classes_without_choice: missing.map(str::to_owned).collect(),
        }
    }
}

impl Match {
    /// Whether each class has a choice and each choice a class.
    pub fn is_whole(&self) -> bool {
        self.choices_without_class.is_empty() && self.classes_without_choice.is_empty()
    }

    /// What is missing on either side, with the nearest name where one is likely meant; `None` where nothing is.
    pub fn remark(&self) -> Option<String> {
        let (classes, choices) = (&self.classes_without_choice, &self.choices_without_class);
        let few = classes.len() * choices.len() <= MAX_PAIRS;
        let near = |class: &String| {
            let nearest = few.then(|| suggest::nearest(class, choices.iter().map(String::as_str))).flatten();
            nearest.map_or_else(|| class.clone(), |choice| format!("{class} (is it the choice '{choice}'?)"))
        };
        let lacking = (!classes.is_empty())
            .then(|| format!("the form lacks a choice for: {}", listed(classes.iter().map(near).collect())));
        let idle = (!choices.is_empty()).then(|| format!("the model cannot predict: {}", listed(choices.clone())));
        match (lacking, idle) {
            (Some(lacking), Some(idle)) => Some(format!("{lacking}; {idle}")),
            (one, other) => one.or(other),
        }
    }
}

/// Names for a message, the first of them where there are many.
fn listed(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MAX_LISTED);
    names.truncate(MAX_LISTED);
    let text = names.join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

fn fail(reason: impl Into<String>) -> FormError {
    FormError(reason.into())
}

fn is_tag(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name().eq_ignore_ascii_case(name)
}

/// An attribute that says something. Label Studio takes names in any case.
fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let found = node.attributes().find(|a| a.name().eq_ignore_ascii_case(name));
    found.map(|a| a.value().trim()).filter(|v| !v.is_empty())
}

fn is_true(node: Node<'_, '_>, name: &str) -> bool {
    attribute(node, name).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

fn find_question<'a, 'i>(document: &'a Document<'i>, question: Option<&str>) -> Result<Node<'a, 'i>, FormError> {
    let found: Vec<Node<'_, '_>> = document.descendants().filter(|n| is_tag(*n, "Choices")).collect();
    let listed = || found.iter().filter_map(|n| attribute(*n, "name")).collect::<Vec<_>>().join(", ");
    match (found.as_slice(), question) {
        ([], _) => Err(fail("it has no <Choices> tag; images are classified by one")),
        (several, Some(name)) => several
            .iter()
            .find(|n| attribute(**n, "name") == Some(name))
            .copied()
            .ok_or_else(|| fail(format!("--from-name {name} names none of its <Choices> tags: {}", listed()))),
        ([one], None) => Ok(*one),
        (_, None) => {
            Err(fail(format!("it has several <Choices> tags ({}); say which is the class with --from-name", listed())))
        }
    }
}

/// Questions whose answer is not one class of the whole image.
fn check_question(control: Node<'_, '_>, name: &str) -> Result<(), FormError> {
    for attribute in ["perRegion", "perItem"] {
        if is_true(control, attribute) {
            return Err(fail(format!("<Choices name=\"{name}\"> asks about parts of an image ({attribute}=\"true\")")));
        }
    }
    if attribute(control, "value").is_some_and(|v| v.starts_with('$')) {
        return Err(fail(format!(
            "the choices of <Choices name=\"{name}\"> come from each task's data; list them as <Choice>"
        )));
    }
    Ok(())
}

fn find_image<'a, 'i>(
    document: &'a Document<'i>,
    control: Node<'_, '_>,
    name: &str,
) -> Result<Node<'a, 'i>, FormError> {
    let to = attribute(control, "toName").ok_or_else(|| {
        fail(format!("<Choices name=\"{name}\"> has no toName; set it to the name of the <Image> tag"))
    })?;
    let named: Vec<Node<'_, '_>> = document
        .descendants()
        .filter(|n| n.is_element() && *n != control && attribute(*n, "name") == Some(to))
        .collect();
    match named.as_slice() {
        [] => Err(fail(format!("<Choices name=\"{name}\"> asks about '{to}', and no tag has that name"))),
        [image] if is_tag(*image, "Image") => Ok(*image),
        [other] => Err(fail(format!(
            "<Choices name=\"{name}\"> asks about '{to}', a <{}>; only an <Image> can be classified",
            other.tag_name().name()
        ))),
        _ => Err(fail(format!("several tags have the name '{to}'"))),
    }
}

/// `value="$image"`: the key of the task's data.
fn image_key(image: Node<'_, '_>) -> Result<String, FormError> {
    if attribute(image, "valueList").is_some() {
        return Err(fail("its <Image> shows a list (valueList); give each image a task of its own"));
    }
    let value = attribute(image, "value").ok_or_else(|| fail("its <Image> has no value; write value=\"$image\""))?;
    match value.strip_prefix('$').filter(|key| !key.is_empty() && !key.contains(['$', '/', ' ', '{'])) {
        Some(key) => Ok(key.into()),
        None => {
            Err(fail(format!("its <Image> has value=\"{value}\"; write value=\"$KEY\", the key of the task's data")))
        }
    }
}

fn read_choices(control: Node<'_, '_>, name: &str) -> Result<Vec<Choice>, FormError> {
    let mut choices: Vec<Choice> = Vec::new();
    let mut taken = BTreeSet::new();
    for node in choice_nodes(control) {
        if choice_nodes(node).next().is_some() {
            return Err(fail(format!("the choices of <Choices name=\"{name}\"> are nested; a class is one choice")));
        }
        let alias = attribute(node, "alias");
        let Some(shown) = attribute(node, "value").or(alias) else { continue };
        let value = alias.unwrap_or(shown);
        if !taken.insert(value) {
            return Err(fail(format!("the choice '{value}' stands twice in <Choices name=\"{name}\">")));
        }
        choices.push(Choice { shown: shown.into(), value: value.into() });
        if choices.len() > MAX_CHOICES {
            return Err(fail(format!("<Choices name=\"{name}\"> has more than {MAX_CHOICES} choices")));
        }
    }
    if choices.is_empty() {
        return Err(fail(format!("<Choices name=\"{name}\"> has no <Choice>")));
    }
    Ok(choices)
}

fn choice_nodes<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> {
    node.descendants().filter(move |n| *n != node && is_tag(*n, "Choice"))
}

/// What a class may be called, the surest names first: a name that is taken stays taken.
fn names_of(control: Node<'_, '_>, choices: &[Choice]) -> HashMap<String, usize> {
    let nodes: Vec<Node<'_, '_>> =
        choice_nodes(control).filter(|n| attribute(*n, "value").or(attribute(*n, "alias")).is_some()).collect();
    let mut known = HashMap::new();
    let mut take = |names: Vec<(String, usize)>| {
        for (name, index) in names {
            known.entry(name).or_insert(index);
        }
    };
    take(choices.iter().enumerate().map(|(i, c)| (c.value.clone(), i)).collect());
    take(choices.iter().enumerate().map(|(i, c)| (c.shown.clone(), i)).collect());
    let listed = |i: usize, text: &str| text.split(',').map(|n| (n.trim().to_owned(), i)).collect::<Vec<_>>();
    let predicted = |(i, n): (usize, &Node<'_, '_>)| attribute(*n, "predicted_values").map(|t| listed(i, t));
    take(nodes.iter().enumerate().filter_map(predicted).flatten().collect());
    take(nodes.iter().enumerate().filter_map(|(i, n)| Some((attribute(*n, "hint")?.to_owned(), i))).collect());
    known
}

#[cfg(test)]
mod tests {
    use kidu_core::markup::escape;
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = r#"<View><Image name="image" value="$image"/><Choices name="choice" toName="image">
        <Choice value="sea"/><Choice value="forest"/></Choices></View>"#;

    fn parse(xml: &str) -> Form {
        Form::parse(xml, None).unwrap()
    }

    fn refusal(xml: &str) -> String {
        Form::parse(xml, None).unwrap_err().to_string()
    }

    #[test]
    fn names_come_from_the_form() {
        let form = parse(PLAIN);
        assert_eq!(
            (form.control.as_str(), form.object.as_str(), form.image_key.as_str()),
            ("choice", "image", "image")
        );
        assert_eq!(form.choices().iter().map(|c| c.value.as_str()).collect::<Vec<_>>(), ["sea", "forest"]);
        let other = parse(
            "<View><Style>.a{color:red}</Style><Header value='x &lt; y'/><!-- a < b --><View><image name='pic' value='$url' zoom='true'/>
             <choices name='kind' toname='pic' choice='single'><View><Choice value='a'/></View></choices></View>
             <TextArea name='note' toName='pic'/></View>",
        );
        assert_eq!((other.control.as_str(), other.object.as_str(), other.image_key.as_str()), ("kind", "pic", "url"));
    }

    #[test]
    fn aliases_predicted_values_and_hints_name_a_class_in_this_order() {
        let form = parse(
            r#"<View><Image name="i" value="$i"/><Choices name="c" toName="i">
            <Choice value="The sea" alias="sea" hint="water"/><Choice value="water" predicted_values="lake, river"/>
            <Choice value="Ice" hint="glacier"/><Choice alias="x"/></Choices></View>"#,
        );
        let value = |class: &str| form.choice_of(class).map(|i| form.choices()[i].value.as_str());
        assert_eq!(value("sea"), Some("sea"));
        assert_eq!(value("The sea"), Some("sea"));
        assert_eq!(value("water"), Some("water"), "a value goes before a hint");
        assert_eq!((value("river"), value("lake")), (Some("water"), Some("water")));
        assert_eq!((value("glacier"), value("x"), value("forest")), (Some("Ice"), Some("x"), None));
    }

    #[test]
    fn both_sides_of_a_mismatch_are_told() {
        let found = parse(PLAIN).compare(&["sea", "Forest", "street"]);
        assert_eq!(found.choices_without_class, ["forest"]);
        assert_eq!(found.classes_without_choice, ["Forest", "street"]);
        let remark = found.remark().unwrap();
        assert!(
            remark.contains("Forest (is it the choice 'forest'?), street") && remark.contains("cannot predict: forest")
        );
        let whole = parse(PLAIN).compare(&["forest", "sea"]);
        assert!(whole.is_whole() && whole.remark().is_none());
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        let with = |choices: &str| format!("<View><Image name='i' value='$i'/>{choices}</View>");
        let one = "<Choice value='a'/>";
        for (xml, reason) in [
            (String::new(), "is empty"),
            ("<View>".into(), "not XML"),
            (with(""), "no <Choices> tag"),
            (with(&format!("<Choices toName='i'>{one}</Choices>")), "has no name"),
            (with(&format!("<Choices name='c'>{one}</Choices>")), "no toName"),
            (with(&format!("<Choices name='c' toName='x'>{one}</Choices>")), "no tag has that name"),
            (with("<Choices name='c' toName='i'/>"), "has no <Choice>"),
            (with(&format!("<Choices name='c' toName='i' perRegion='true'>{one}</Choices>")), "parts of an image"),
            (with("<Choices name='c' toName='i' value='$options'/>"), "come from each task's data"),
            (with(&format!("<Choices name='c' toName='i'><Choice value='b'>{one}</Choice></Choices>")), "nested"),
            (with(&format!("<Choices name='c' toName='i'>{one}{one}</Choices>")), "stands twice"),
            (
                with(&format!(
                    "<Choices name='c' toName='i'>{one}</Choices><Choices name='d' toName='i'>{one}</Choices>"
                )),
                "several <Choices> tags (c, d)",
            ),
            (
                format!("<View><Text name='i' value='$i'/><Choices name='c' toName='i'>{one}</Choices></View>"),
                "a <Text>",
            ),
            (
                format!("<View><Image name='i' valueList='$i'/><Choices name='c' toName='i'>{one}</Choices></View>"),
                "a list",
            ),
            (
                format!("<View><Image name='i' value='a.jpg'/><Choices name='c' toName='i'>{one}</Choices></View>"),
                "$KEY",
            ),
            ("<!DOCTYPE x [<!ENTITY a 'b'>]><View/>".into(), "not XML"),
            ("<a>".repeat(150_000), "not XML"),
            (format!("{}{}", "<a b='/>'>".repeat(50_000), "</a>".repeat(50_000)), "no <Choices>"),
            (" ".repeat(2 << 20) + "x", "more than"),
        ] {
            let told = refusal(&xml);
            assert!(told.contains(reason), "{xml}: {told}");
        }
    }

    #[test]
    fn one_of_several_questions_can_be_named() {
        let xml = "<View><Image name='i' value='$i'/><Choices name='c' toName='i'><Choice value='a'/></Choices>\
                   <Choices name='d' toName='i'><Choice value='b'/></Choices></View>";
        assert_eq!(Form::parse(xml, Some("d")).unwrap().choices()[0].value, "b");
        assert!(Form::parse(xml, Some("e")).unwrap_err().to_string().contains("c, d"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_names_are_read_as_they_are_written(names in prop::collection::btree_set("[^\\s\\p{C}][^\\p{C}]{0,12}[^\\s\\p{C}]", 1..8)) {
            let choices: String = names.iter().map(|n| format!("<Choice value=\"{}\"/>", escape(n))).collect();
            let xml = format!("<View><Image name=\"i\" value=\"$i\"/><Choices name=\"c\" toName=\"i\">{choices}</Choices></View>");
            let form = Form::parse(&xml, None).unwrap();
            let read: Vec<&str> = form.choices().iter().map(|c| c.value.as_str()).collect();
            prop_assert_eq!(read, names.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert!(names.iter().all(|n| form.choice_of(n).is_some()));
        }

        #[test]
        fn no_text_panics(xml in "\\PC{0,200}") {
            let _ = Form::parse(&xml, None);
        }

        #[test]
        fn no_mutilated_form_panics(cut in 0usize..400, noise in "[<>&\"'$/A-Za-z !\\[\\]-]{0,40}", at in 0usize..200) {
            let xml: String = PLAIN.chars().take(at).chain(noise.chars()).chain(PLAIN.chars().skip(cut)).collect();
            let _ = Form::parse(&xml, None);
        }
    }
}
