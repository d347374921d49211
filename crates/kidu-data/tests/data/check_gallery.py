#!/usr/bin/env python3
"""Use the gallery of `kidu data check` in Chromium, as a person would, by mouse and by the keyboard alone.

Usage: check_gallery.py check.html check.json clean.html [SCREENSHOTS]

What the page shows is held against check.json; all findings must be on the page. clean.html is the page of data without
a finding. Needs playwright and a Chromium on the PATH. Prints what was done; exit code 1 where something does not hold.
With SCREENSHOTS, a folder, pictures of the page are left there.
"""

import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

gallery, clean = Path(sys.argv[1]).resolve(), Path(sys.argv[3]).resolve()
report = json.loads(Path(sys.argv[2]).read_text())
screenshots = Path(sys.argv[4]) if len(sys.argv) > 4 else None
chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
findings = report["findings"]

# Least contrast of text, of large text, and of the edge of a control, as WCAG 2.2 AA has them.
CONTRASTS = """() => {
    const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
    const luminance = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const [r, g, b, alpha] = channels(getComputedStyle(e).backgroundColor);
            if (alpha !== 0) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const ratio = (one, other) => {
        const [a, b] = [luminance(one), luminance(other)].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    };
    const found = [];
    const look = (element, colour, on, least) => {
        const value = ratio(channels(colour).slice(0, 3), on);
        if (value < least) found.push(`${element.tagName}.${element.className} ${value.toFixed(2)} < ${least}`);
    };
    for (const element of document.querySelectorAll("body *")) {
        const style = getComputedStyle(element);
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!element.checkVisibility() || element.tagName === "SCRIPT") continue;
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
        if (own) look(element, style.color, ground(element), large ? 3 : 4.5);
        if (element.placeholder) look(element, getComputedStyle(element, "::placeholder").color, ground(element), 4.5);
        if (element.matches("select, input, button")) look(element, style.borderTopColor, ground(element.parentElement), 3);
    }
    return [...new Set(found)];
}"""

# What has focus, as a text.
FOCUS = """() => {
    const e = document.activeElement;
    return e.tagName === "ARTICLE" ? "article " + [...document.querySelectorAll("article")].indexOf(e) : e.id || e.type || e.className || e.tagName;
}"""


def expected(severity="", kind="", klass="", split="", part=""):
    """Places of the findings that such filters show, from the report alone."""

    def fits(finding):
        files = finding["files"]
        classes = {f["class"] for f in files} | {finding["class"]}
        return (
            severity in ("", finding["severity"])
            and kind in ("", finding["kind"])
            and (not klass or klass in classes)
            and (not split or split in {f["split"] for f in files})
            and (not part or any(part.lower() in f["path"].lower() for f in files))
        )

    return sum(fits(f) for f in findings)


class Visit:
    """A page with what must not happen on it."""

    def __init__(self, context, path):
        self.page, self.problems, self.url = context.new_page(), [], path.as_uri()
        self.page.on("console", lambda m: self.problems.append(f"console: {m.text}"))
        self.page.on("pageerror", lambda e: self.problems.append(f"error: {e}"))
        self.page.on("request", self.request)
        self.page.goto(self.url)

    def request(self, request):
        if request.url.split("#")[0] != self.url and not request.url.startswith("data:"):
            self.problems.append(f"request: {request.url}")

    def shows(self, count):
        page = self.page
        expect(page.locator("article:visible")).to_have_count(count)
        expect(page.locator("#count")).to_have_text(f"{count} of {len(findings)} shown")
        empty = page.locator("section:visible").evaluate_all(
            "all => all.filter(s => !s.querySelector('article:not([hidden])')).map(s => s.id)")
        assert not empty, f"headings without a finding: {empty}"

    def focus(self):
        return self.page.evaluate(FOCUS)

    def press(self, key, expected_focus):
        self.page.keyboard.press(key)
        found = self.focus()
        assert found == expected_focus, f"after {key} the focus is on {found}, not on {expected_focus}"

    def ring(self):
        """The focus can be seen: a ring, and nothing lies over it."""
        style = self.page.evaluate("""() => {
            const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
            const x = box.left + Math.min(box.width / 2, 20), y = box.top + 3;
            const over = document.elementFromPoint(x, y);
            return {width: parseFloat(style.outlineWidth), line: style.outlineStyle, free: over !== null && (e === over || e.contains(over))};
        }""")
        assert style["line"] != "none" and style["width"] >= 2 and style["free"], f"{self.focus()}: {style}"


def filters(visit):
    page = visit.page
    visit.shows(len(findings))
    options = {name: page.locator(f"#{name} option").evaluate_all("all => all.map(o => o.value)")
               for name in ["severity", "kind", "class", "split"]}
    assert options["severity"] == ["", "error", "warning", "info"], options
    assert set(options["kind"]) == {""} | {f["kind"] for f in findings}, options
    assert "black|white" in options["class"] and options["split"] == ["", "train", "val", "test"], options
    seen = 0
    for name, values in options.items():
        for value in values:
            page.select_option(f"#{name}", value)
            count = expected(**{"klass" if name == "class" else name: value})
            seen += 0 < count < len(findings)
            visit.shows(count)
        page.select_option(f"#{name}", "")
    assert seen > 12, f"only {seen} filters told findings apart"
    for part in ["LEAKED", "<b>&", "no such file"]:
        page.fill("#path", part)
        visit.shows(expected(part=part))
    assert expected(part="<b>&") > 0
    page.select_option("#severity", "warning")
    page.select_option("#split", "train")
    page.fill("#path", "sea")
    visit.shows(expected(severity="warning", split="train", part="sea"))
    # A reload keeps what was chosen, or shows everything; the count is right in both cases.
    page.reload()
    kept = {name: page.locator(f"#{name}").input_value() for name in ["severity", "kind", "split"]}
    visit.shows(expected(**kept, klass=page.locator("#class").input_value(), part=page.locator("#path").input_value()))
    page.get_by_role("button", name="Show all").click()
    visit.shows(len(findings))
    # A link of the summary leads to its kind, though a filter hides it; the second time too.
    kind = findings[0]["kind"]
    for _ in range(2):
        page.fill("#path", "no such file")
        visit.shows(0)
        page.locator(f"#summary a[href='#{kind}']").first.click()
        visit.shows(len(findings))
        expect(page.locator(f"#{kind} h3")).to_be_in_viewport()


def keyboard(visit):
    """From the top of the page: the skip link, the findings, the filters."""
    page = visit.page
    page.goto("about:blank")
    page.goto(visit.url)
    visit.press("Tab", "skip")
    visit.ring()
    assert page.locator(".skip").bounding_box()["x"] >= 0, "the skip link cannot be seen"
    visit.press("Enter", "findings")
    visit.press("Tab", "article 0")
    last = len(findings) - 1
    visit.ring()
    for key, place in [("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", last), ("ArrowRight", last),
                       ("Home", 0), ("ArrowLeft", 0), ("End", last)]:
        visit.press(key, f"article {place}")
        visit.ring()
    visit.press("Escape", "severity")
    visit.ring()
    page.keyboard.press("ArrowDown")
    assert page.locator("#severity").input_value() == "error"
    visit.shows(expected(severity="error"))
    for name in ["kind", "class", "split", "path"]:
        visit.press("Tab", name)
        visit.ring()
    page.keyboard.type("sea")
    visit.shows(expected(severity="error", part="sea"))
    visit.press("Tab", "reset")
    visit.ring()
    page.keyboard.press("Tab")
    shown = page.locator("article:visible").evaluate_all(
        "all => all.map(a => [...document.querySelectorAll('article')].indexOf(a))")
    assert len(shown) > 1 and visit.focus() == f"article {shown[0]}", (visit.focus(), shown)
    visit.ring()
    visit.press("ArrowRight", f"article {shown[1]}")
    visit.press("End", f"article {shown[-1]}")
    # Inside a finding the keys are the browser's own.
    page.get_by_role("button", name="Show all").focus()
    page.keyboard.press("Enter")
    visit.shows(len(findings))
    pairs = page.locator("article details summary").first
    pairs.focus()
    page.keyboard.press("Enter")
    expect(page.locator("article details[open]")).to_have_count(1)
    here = visit.focus()
    visit.press("ArrowRight", here)
    page.keyboard.press("Enter")
    expect(page.locator("article details[open]")).to_have_count(0)


def looks(visit, name):
    page = visit.page
    page.evaluate("scrollTo(0, 0)")
    page.locator("details").evaluate_all("all => all.forEach(d => d.open = true)")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"the page is {wide} pixels wider than the window"
    poor = page.evaluate(CONTRASTS)
    assert not poor, f"too little contrast: {poor}"
    unnamed = page.locator("select, input, button, article, form, [role=region], img").evaluate_all("""all => all.filter(e =>
        !(e.ariaLabel || e.getAttribute("alt") || e.labels?.length || (e.tagName === "BUTTON" && e.textContent.trim()))
        ).map(e => e.outerHTML.slice(0, 80))""")
    assert not unnamed, f"without a name: {unnamed}"
    broken = page.locator("article img").evaluate_all("""async all => {
        const states = all.map(i => { i.loading = "eager"; return i.decode().then(() => 0, () => 1); });
        return (await Promise.all(states)).reduce((a, b) => a + b, 0);
    }""")
    assert broken == 0 and page.locator("article img").count() > 0, f"{broken} pictures do not decode"
    twice = page.evaluate(
        "(ids => ids.filter((id, i) => ids.indexOf(id) !== i))([...document.querySelectorAll('[id]')].map(e => e.id))")
    assert not twice, f"ids that stand twice: {twice}"
    page.locator("details").evaluate_all("all => all.forEach(d => d.open = false)")
    if screenshots:
        page.screenshot(path=screenshots / f"{name}.png", full_page=True)
        page.locator("article").nth(1).focus()
        page.keyboard.press("ArrowLeft")
        page.screenshot(path=screenshots / f"{name}-focus.png")


with sync_playwright() as tools:
    browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
    for scheme in ["light", "dark"]:
        for size, width, height in [("desktop", 1280, 900), ("narrow", 400, 800)]:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
            visit = Visit(context, gallery)
            filters(visit)
            keyboard(visit)
            looks(visit, f"{size}-{scheme}")
            assert not visit.problems, visit.problems
            context.close()
            print(f"{size}-{scheme} holds")
    context = browser.new_context()
    visit = Visit(context, clean)
    expect(visit.page.get_by_text("Nothing was found.")).to_be_visible()
    expect(visit.page.locator("#filters")).to_be_hidden()
    assert not visit.problems, visit.problems
    context.close()
    print("without findings holds")
    # Without scripts everything is shown, and no control that does nothing.
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(gallery.as_uri())
    expect(page.locator("article:visible")).to_have_count(len(findings))
    expect(page.locator("#filters")).to_be_hidden()
    print("without scripts holds")
    browser.close()
