#!/usr/bin/env python3
"""Use the web page of a running server in Chromium, as a person would.

Usage: serve_page.py URL IMAGE.jpg CORRUPT.jpg LABEL [SCREENSHOTS]

The bundle has the temperature and the metrics of FIGURES below. LABEL is the class that the server finds in the image. Needs playwright and a Chromium on the PATH. Prints what was done;
exit code 1 where something does not hold. With SCREENSHOTS, a folder, pictures of the page are left there.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

url, image, corrupt, label = sys.argv[1:5]
screenshots = Path(sys.argv[5]) if len(sys.argv) > 5 else None
chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# What the page makes of the bundle's numbers.
FIGURES = {
    "lr": "1e-4",
    "epochs": "12",
    "test/acc": "0.9124",
    "test/ece": "1.234e-5",
    "throughput": "12346",
    "Temperature": "1.377",
}


# A busy machine takes its time.
expect.set_options(timeout=30_000)


def use(page, name):
    problems = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" and " 4" not in m.text else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: problems.append(r.url) if not r.url.startswith((url, "blob:", "data:")) else None)
    page.goto(url)
    expect(page.locator("#model")).to_contain_text("version")
    status = page.locator("#status")

    page.set_input_files("#file", image)
    expect(status).to_contain_text(label)
    expect(page.locator("#bars li").first).to_contain_text(label)
    values = [float(v) for v in page.locator("#bars progress").evaluate_all("all => all.map(p => p.value)")]
    assert values == sorted(values, reverse=True) and abs(sum(values) - 1) < 1e-3, values

    page.get_by_role("button", name="Show what it rests on").click()
    expect(status).to_contain_text("speak for")
    box, heat = page.locator("#shown").bounding_box(), page.locator("#heat").bounding_box()
    assert all(abs(box[k] - heat[k]) < 1.5 for k in box), (box, heat)
    # It stays there when a phone is turned.
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"] + 137, "height": size["height"]})
    page.wait_for_function("""() => ["left", "top", "width", "height"].every((k) =>
        Math.abs(document.querySelector("#shown").getBoundingClientRect()[k] - document.querySelector("#heat").getBoundingClientRect()[k]) < 1.5)""")
    page.set_viewport_size(size)
    page.get_by_text("About the model").click()
    expect(page.locator("#about")).to_contain_text("test/acc")
    rows = page.locator("#about tr").evaluate_all("all => all.map(r => [...r.children].map(c => c.textContent))")
    shown = {name: value for name, value in rows if name in FIGURES}
    assert shown == FIGURES, shown
    if screenshots:
        page.screenshot(path=screenshots / f"{name}.png", full_page=True)

    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#command")).to_contain_text("curl -s")
    expect(page.locator("#command")).to_contain_text(url)
    expect(page.get_by_role("status").filter(has_text="opied").or_(page.get_by_role("status").filter(has_text="a page copy"))).to_have_count(1)

    page.set_input_files("#file", corrupt)
    expect(status).to_contain_text("damaged JPEG")
    expect(status).to_have_class("bad")
    expect(page.locator("#bars li")).to_have_count(0)
    if screenshots:
        page.screenshot(path=screenshots / f"{name}-error.png", full_page=True)

    # By the keyboard alone: on to the first drawn scene.
    page.locator("#file").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(page.locator("#samples button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#bars li").first).to_contain_text("%")
    expect(page.locator("#shown")).to_have_attribute("alt", "The picture: buildings.png")

    # Pasted and dropped.
    for kind in ["paste", "drop"]:
        page.evaluate(
            """([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], kind + "ed.jpg", {type: "image/jpeg"}));
                const event = kind === "paste"
                    ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
                    : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
                document.body.dispatchEvent(event);
            }""",
            [kind, list(Path(image).read_bytes())],
        )
        expect(page.locator("#shown")).to_have_attribute("alt", f"The picture: {kind}ed.jpg")
        expect(status).to_contain_text(label)

    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"the page is {wide} pixels wider than the window"
    unnamed = page.locator("button, input").evaluate_all(
        "all => all.filter(e => !(e.ariaLabel || e.textContent.trim() || (e.labels && e.labels.length))).length")
    assert unnamed == 0, f"{unnamed} controls have no name"
    assert not problems, problems
    print(name, "holds")


with sync_playwright() as tools:
    browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
    for scheme in ["light", "dark"]:
        for size, width, height in [("desktop", 1280, 900), ("phone", 390, 844)]:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=size == "phone")
            use(context.new_page(), f"{size}-{scheme}")
            context.close()
    browser.close()
