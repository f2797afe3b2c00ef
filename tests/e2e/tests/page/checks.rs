//! The checks of every page in every state that a test reaches: accessibility, keyboard, width and console.

use relation_e2e::axe;
use relation_e2e::browser::{Browser, Key};
use serde_json::Value;

/// Violations that are accepted: the rule of axe-core, a part of the element's selector, and the reason.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// The rules of axe-core: WCAG 2.2 A and AA, and good practice.
const TAGS: &str = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";

/// Runs in every page before its own script: records what a test cannot see afterwards.
const RECORDER: &str = "
    window.recorded = { errors: [], focused: [] };
    document.addEventListener('securitypolicyviolation', event =>
        recorded.errors.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
    addEventListener('error', event => recorded.errors.push(String(event.message)));
    addEventListener('unhandledrejection', event => recorded.errors.push(String(event.reason)));
    document.addEventListener('keyup', event => {
        const element = document.activeElement;
        if (event.key !== 'Tab' || !element || element === document.body) return;
        const style = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        const middle = document.elementFromPoint(
            Math.min(Math.max(box.left + box.width / 2, 0), innerWidth - 1),
            Math.min(Math.max(box.top + box.height / 2, 0), innerHeight - 1));
        recorded.focused.push({
            element,
            outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
            seen: Boolean(middle) && (element.contains(middle) || middle.contains(element)
                || [...element.labels ?? []].some(label => label.contains(middle))),
            left: box.left + scrollX, right: box.right + scrollX,
            top: box.top + scrollY, bottom: box.bottom + scrollY,
        });
    }, true);
";

/// Puts the focus on the first control, and returns the number of controls that Tab reaches after it.
const BEGIN_TABS: &str = "
    window.tabbed = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
        .filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility())
        .filter(each => each.type !== 'radio' || each.checked
            || !document.querySelector(`input[type=radio][name='${each.name}']:checked`));
    tabbed[0].focus();
    recorded.focused = [];
    return tabbed.length - 1;
";

/// Compares the controls that had the focus with those of the page, and returns what is wrong.
const END_TABS: &str = "
    const describe = each => `<${each.localName} ${each.id || each.name || ''}> ${(each.innerText ?? '').slice(0, 40)}`;
    const wrong = [];
    const wanted = tabbed.slice(1);
    // Browsers stop at boxes that scroll.
    let found = recorded.focused.filter(each => wanted.includes(each.element) || !each.element.matches('.scroll'));
    // After the last control, Tab begins again.
    const again = found.findIndex(each => each.element === tabbed[0]);
    if (again >= 0) found = found.slice(0, again);
    wanted.forEach((each, position) => {
        const other = found[position]?.element;
        if (other !== each && wrong.length === 0)
            wrong.push(`Tab reaches ${other ? describe(other) : 'no control'} instead of ${describe(each)}`);
    });
    for (const each of found) {
        if (!each.outlined) wrong.push(`the focus is not visible at ${describe(each.element)}`);
        if (!each.seen) wrong.push(`something hides ${describe(each.element)}`);
    }
    found.forEach((each, position) => {
        const before = found[position - 1];
        if (!before) return;
        const isAbove = each.bottom <= before.top + 1;
        const isLeft = each.right <= before.left + 1;
        const sameLine = each.top < before.bottom - 1 && each.bottom > before.top + 1;
        if ((isAbove && each.left <= before.left + 1) || (sameLine && isLeft))
            wrong.push(`Tab goes back from ${describe(before.element)} to ${describe(each.element)}`);
    });
    document.activeElement?.blur();
    scrollTo(0, 0);
    return wrong;
";

/// The size of the window in which pages are checked.
const SIZE: (u32, u32) = (1120, 800);

/// The smallest window, and the pixels of its screen for each of its own: one of 1280 pixels at 400 %.
const NARROW: (u32, u32, u32) = (320, 256, 4);

/// The rules that depend on the width.
const NARROW_RULES: &str = "{ type: 'rule', values: ['color-contrast', 'target-size'] }";

/// The rules that depend on the scheme of colors.
const CONTRAST: &str = "{ type: 'rule', values: ['color-contrast', 'link-in-text-block'] }";

/// The pages of the walk whose templates are in no sample.
const WITHOUT_SAMPLE: [&str; 5] = ["audit", "data", "declined", "keys", "not-found"];

/// A checker of a browser's pages.
pub struct Checks {
    /// The script of axe-core.
    axe: Option<String>,
}

impl Checks {
    /// Prepares a browser. Without axe-core, its checks are skipped.
    pub fn prepare(browser: &Browser) -> Self {
        browser.run_in_new_pages(RECORDER);
        set_normal_size(browser);
        browser.set_dark(false);
        Self { axe: axe::load() }
    }

    /// Checks the page that is open. In the dark scheme, its sample is checked, if it has one.
    #[track_caller]
    pub fn check(&self, browser: &Browser, name: &str) {
        let wrong = match WITHOUT_SAMPLE.contains(&name) {
            true => self.find_dark(browser),
            false => Vec::new(),
        };
        self.check_with(browser, name, wrong);
    }

    /// Checks a sample that is open: also in the dark scheme.
    #[track_caller]
    pub fn check_sample(&self, browser: &Browser, name: &str) {
        let mut wrong = self.find_dark(browser);
        // In a narrow window, the bar of a demo takes several lines.
        if name.contains("demo") {
            set_narrow_size(browser);
            let narrow = self.find_violations(browser, NARROW_RULES).into_iter();
            wrong.extend(narrow.map(|each| format!("narrow: {each}")));
            set_normal_size(browser);
        }
        self.check_with(browser, name, wrong);
    }

    fn find_dark(&self, browser: &Browser) -> Vec<String> {
        browser.set_dark(true);
        let found = self.find_violations(browser, CONTRAST).into_iter();
        let found = found.map(|each| format!("dark: {each}")).collect();
        browser.set_dark(false);
        found
    }

    #[track_caller]
    fn check_with(&self, browser: &Browser, name: &str, mut wrong: Vec<String>) {
        let headings = "return document.querySelectorAll('h1').length";
        if browser.execute(headings) != 1 {
            wrong.push("the page has not exactly one h1".to_owned());
        }
        let rules = format!("{{ type: 'tag', values: {TAGS} }}");
        wrong.extend(self.find_violations(browser, &rules));
        save_pictures(browser, name);
        wrong.extend(walk_by_tab(browser));
        wrong.extend(find_sideways(browser));
        wrong.extend(find_wrapped_navigation(browser));
        wrong.extend(find_errors(browser));
        assert!(
            wrong.is_empty(),
            "{name} at {}:\n{}",
            browser.url(),
            wrong.join("\n")
        );
    }

    /// Returns the violations that axe-core finds, without the exceptions.
    fn find_violations(&self, browser: &Browser, rules: &str) -> Vec<String> {
        let Some(axe) = &self.axe else {
            return Vec::new();
        };
        if browser.execute("return typeof axe") == "undefined" {
            browser.execute(axe);
        }
        let script = format!(
            "const done = arguments[arguments.length - 1];
            axe.run(document, {{ runOnly: {rules}, resultTypes: ['violations'] }}).then(
                found => done(found.violations.flatMap(each => each.nodes.map(node =>
                    `axe ${{each.id}}: ${{node.target.join(' ')}}: ${{node.failureSummary}}`))),
                error => done([`axe: ${{error}}`]));"
        );
        let mut found = texts(&browser.execute_async(&script));
        found.retain(|each| {
            let mut exceptions = EXCEPTIONS.iter();
            !exceptions.any(|(rule, selector, _)| {
                each.starts_with(&format!("axe {rule}:")) && each.contains(selector)
            })
        });
        found
    }
}

fn set_normal_size(browser: &Browser) {
    let (width, height) = SIZE;
    browser.set_size(width, height, 1);
}

fn set_narrow_size(browser: &Browser) {
    let (width, height, scale) = NARROW;
    browser.set_size(width, height, scale);
}

fn texts(value: &Value) -> Vec<String> {
    let values = value.as_array().expect("a list").iter();
    values
        .map(|each| each.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Goes through the page by Tab alone. Returns where the order is not that of reading, or the focus is not visible.
fn walk_by_tab(browser: &Browser) -> Vec<String> {
    let count = browser.execute(BEGIN_TABS).as_u64().expect("a number");
    // Boxes that scroll are controls too.
    let scrolling = browser.execute("return document.querySelectorAll('.scroll').length");
    let count = count + scrolling.as_u64().expect("a number");
    let count = usize::try_from(count).expect("a small number");
    browser.press(&vec![Key::Tab; count]);
    texts(&browser.execute(END_TABS))
}

/// Returns whether the page is wider than the smallest window.
fn find_sideways(browser: &Browser) -> Option<String> {
    set_narrow_size(browser);
    let script = "const { scrollWidth, clientWidth } = document.documentElement;
        const cut = [...document.querySelectorAll('.scroll')].filter(each =>
            each.querySelector('.cards') && each.scrollWidth > each.clientWidth);
        if (cut.length > 0) return `cards: ${cut[0].scrollWidth} pixels: ${cut[0].innerText.slice(0, 120)}`;
        if (scrollWidth <= clientWidth) return null;
        const wide = [...document.querySelectorAll('main *, header *, footer *')]
            .filter(each => each.getBoundingClientRect().right > clientWidth && !each.closest('.scroll, .hidden, thead'));
        return `${scrollWidth} pixels: ${wide.slice(0, 3).map(each => each.outerHTML.slice(0, 120)).join(' ')}`;";
    let found = browser.execute(script);
    set_normal_size(browser);
    found
        .as_str()
        .map(|found| format!("scrolls sideways at 320 pixels: {found}"))
}

/// Returns whether the navigation takes more than one line in a usual window.
fn find_wrapped_navigation(browser: &Browser) -> Option<String> {
    browser.set_size(1280, 800, 1);
    let script = "const bar = [...document.querySelectorAll('.top > div > *, .top nav li')]
            .map(each => each.getBoundingClientRect()).filter(each => each.height > 0);
        const isOneLine = bar.every(each => each.top < bar[0].bottom && each.bottom > bar[0].top);
        return isOneLine ? null : bar.map(each => Math.round(each.width)).join(' ');";
    let found = browser.execute(script);
    set_normal_size(browser);
    let widths = found.as_str()?;
    Some(format!(
        "the navigation takes several lines at 1280 pixels: {widths}"
    ))
}

/// Returns the errors of the page's scripts and of its policy, and those of the console.
fn find_errors(browser: &Browser) -> Vec<String> {
    let mut found = texts(&browser.execute("return recorded.errors"));
    let url = browser.url();
    for (source, message) in browser.take_console() {
        if source == "recommendation" {
            continue;
        }
        // A page that is itself an error has a status that the console reports.
        let is_status = message.contains("responded with a status of 4");
        let is_expected = source == "network" && is_status && !message.contains("/assets/");
        if !is_expected {
            found.push(format!("console ({source}) at {url}: {message}"));
        }
    }
    found
}

/// Stores a picture of the page in the light and in the dark scheme, if the environment says where. The scheme is the light
/// one afterwards.
fn save_pictures(browser: &Browser, name: &str) {
    let Some(directory) = std::env::var_os("RELATION_PAGE_SAMPLES") else {
        return;
    };
    let directory = std::path::Path::new(&directory);
    for (scheme, dark) in [("dark", true), ("light", false)] {
        browser.set_dark(dark);
        browser.save_screenshot(&directory.join(format!("{name}-{scheme}.png")));
    }
}
