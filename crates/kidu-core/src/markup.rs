//! Text inside XML and HTML.

/// Text for XML 1.0 and HTML, inside elements and attributes, which is read back as it was.
///
/// Tabs and line breaks are written as character references: readers turn those of attributes into spaces otherwise. No
/// other control character may stand in XML 1.0, not even as a reference: each becomes U+FFFD, as do U+FFFE and U+FFFF.
/// So do those from U+007F to U+009F, which XML discourages and HTML calls an error.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
        assert_eq!(escape("straße 🌊"), "straße 🌊");
    }

    #[test]
    fn tabs_and_line_breaks_stay_and_what_xml_forbids_is_replaced() {
        assert_eq!(escape("a\tb\nc\rd"), "a&#9;b&#10;c&#13;d");
        let forbidden = (0..0x20).chain(0x7F..0xA0).chain([0xFFFE, 0xFFFF]).filter_map(char::from_u32);
        for c in forbidden.filter(|c| !"\t\n\r".contains(*c)) {
            assert_eq!(escape(&c.to_string()), "\u{FFFD}", "U+{:04X}", u32::from(c));
        }
        // Production 2 of XML 1.0: what may stand in a document.
        let every = (0..=0x10_FFFF).filter_map(char::from_u32).collect::<String>();
        let allowed = |c: char| matches!(c, '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
        assert!(escape(&every).chars().all(allowed));
    }
}
