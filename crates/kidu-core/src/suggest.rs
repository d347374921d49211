//! "Did you mean": the nearest of a set of known names.

/// The known name most similar to `name`, if any is near enough to be worth offering
/// (Jaro-Winkler similarity of at least 0.7, case ignored).
///
/// ```
/// assert_eq!(kidu_core::suggest::nearest("max_epoch", ["min_delta", "max_epochs"]), Some("max_epochs"));
/// assert_eq!(kidu_core::suggest::nearest("zzz", ["max_epochs"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(&wanted, &k.to_lowercase()), k))
        .filter(|(score, _)| *score >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// `" (did you mean 'x'?)"`, or nothing.
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|n| format!(" (did you mean '{n}'?)")).unwrap_or_default()
}
