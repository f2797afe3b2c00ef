//! Tests of whole pages as HTML, in every language.

use std::collections::BTreeSet;

use super::*;
use crate::access::Operation;

/// Returns the values of an attribute.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!(" {name}=\"");
    let found = html.match_indices(start.as_str());
    found
        .map(|(position, _)| html[position + start.len()..].split('"').next().unwrap())
        .collect()
}

#[test]
fn every_page_is_safe_and_accessible() {
    for language in Language::ALL {
        let pages = pages(language);
        if let Ok(directory) = std::env::var("RELATION_PAGE_SAMPLES") {
            for (name, html) in &pages {
                let file = format!("{directory}/{name}-{}.html", language.code());
                std::fs::write(file, html).unwrap();
            }
        }
        for (name, html) in pages {
            let count = |text: &str| html.matches(text).count();
            assert_eq!(count("<h1"), 1, "{name}: one h1");
            assert_eq!(count("<script"), 1, "{name}: one module of our own");
            assert_eq!(count("<style"), 0, "{name}");
            // Controls keep what was typed.
            let mut shown = html.clone();
            for value in attributes(&html, "value") {
                shown = shown.replace(&format!(" value=\"{value}\""), "");
            }
            for text in [
                " style=",
                "<script>alert",
                "javascript:",
                "\u{202e}",
                "\u{1b}",
                "SECRET",
            ] {
                assert!(!shown.contains(text), "{name}: {text:?}");
            }
            assert!(!html.contains(" onload='"), "{name}: a handler");
            let ids = attributes(&html, "id");
            let distinct: BTreeSet<&str> = ids.iter().copied().collect();
            assert_eq!(
                ids.len(),
                distinct.len(),
                "{name}: ids are distinct: {ids:?}"
            );
            for attribute in ["for", "aria-describedby", "aria-labelledby"] {
                for target in attributes(&html, attribute)
                    .iter()
                    .flat_map(|value| value.split(' '))
                {
                    assert!(distinct.contains(target), "{name}: {attribute} {target}");
                }
            }
            for address in attributes(&html, "href")
                .iter()
                .chain(&attributes(&html, "action"))
            {
                let leads_to_provider =
                    name.ends_with("-leaving") && address.starts_with("https://id.example.com/");
                assert!(
                    address.starts_with('/') && !address.starts_with("//")
                        || address.starts_with('#')
                        || leads_to_provider,
                    "{name}: {address}"
                );
            }
            let mut words = html.split([' ', '>', '<', '"']);
            let key = words.find(|word| Language::English.find(word).is_some());
            assert_eq!(key, None, "{name} shows a key");
        }
    }
}

#[test]
fn reader_sees_no_button_that_is_not_permitted() {
    let ui = Ui::sample(Language::English, "/organizations/0101", &["auditor"]);
    assert!(!ui.may_somewhere(Operation::Modify));
    let page = organization::build(&sample_model(), &ui, &full(&[State::Expired]), None);
    let html = page.render().unwrap();
    assert!(
        !html.contains("method=\"post\" action=\"/organizations"),
        "{html}"
    );
    assert!(
        !html.contains("/edit\"") && !html.contains("/connect\""),
        "{html}"
    );
}
