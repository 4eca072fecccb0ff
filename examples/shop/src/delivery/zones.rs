//! Zones: which part of a country a postcode lies in, whether a van goes there, and when.

use crate::http::Denial;

/// How many digits of a postcode name its zone, by country.
const ZONE_DIGITS: [(&str, usize); 3] = [("CZ", 1), ("DE", 1), ("FR", 2)];

/// Beginnings of postcodes where no van goes: mountains, islands, and places overseas.
const NOT_SERVICEABLE: [(&str, &str); 5] =
    [("CZ", "542"), ("DE", "27498"), ("DE", "25849"), ("FR", "20"), ("FR", "97")];

/// Zones of large towns, where vans go in the evening too.
const EVENING_ZONES: [&str; 3] = ["CZ-1", "DE-1", "FR-75"];

/// A place as delivery sees it.
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) postcode: String,
    pub(super) serviceable: bool,
}

/// The zone of a postcode, written with or without spaces.
pub(super) fn zone(country: &str, postcode: &str) -> Result<Zone, Denial> {
    let Some((_, digits)) = ZONE_DIGITS.iter().find(|(served, _)| *served == country) else {
        return Err(Denial::unfit("country_not_served", format!("delivery does not go to `{country}`")));
    };
    let postcode: String = postcode.chars().filter(|letter| *letter != ' ').collect();
    if postcode.len() != 5 || !postcode.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("`{postcode}` is no postcode of {country}; it has five digits");
        return Err(Denial::unfit("postcode_invalid", message));
    }
    let barred = |(land, start): &(&str, &str)| *land == country && postcode.starts_with(start);
    Ok(Zone {
        name: format!("{country}-{}", &postcode[..*digits]),
        serviceable: !NOT_SERVICEABLE.iter().any(barred),
        postcode,
    })
}

/// When vans go to a zone that they go to.
pub(super) fn slots(zone: &str) -> Vec<String> {
    let mut slots = vec!["MORNING".to_owned(), "AFTERNOON".to_owned()];
    if EVENING_ZONES.contains(&zone) {
        slots.push("EVENING".to_owned());
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_and_postcode_decide_zone_and_service() {
        for (country, postcode, name, serviceable) in [
            ("FR", "75011", "FR-75", true),
            ("FR", "20000", "FR-20", false),
            ("FR", "97110", "FR-97", false),
            ("DE", "10115", "DE-1", true),
            ("DE", "27498", "DE-2", false),
            ("CZ", "110 00", "CZ-1", true),
            ("CZ", "54221", "CZ-5", false),
        ] {
            let found = zone(country, postcode).unwrap();
            assert_eq!((found.name.as_str(), found.serviceable), (name, serviceable), "{country} {postcode}");
        }
    }

    #[test]
    fn what_is_no_postcode_is_refused() {
        for postcode in ["", "7501", "750111", "7501a", "٧٥٠١١"] {
            let denial = zone("FR", postcode).map(|_| ()).unwrap_err();
            assert_eq!(denial.code, "postcode_invalid", "{postcode}");
        }
        assert_eq!(zone("XX", "75011").map(|_| ()).unwrap_err().code, "country_not_served");
    }

    #[test]
    fn vans_go_in_the_evening_only_in_large_towns() {
        assert_eq!(slots("FR-75"), ["MORNING", "AFTERNOON", "EVENING"]);
        assert_eq!(slots("FR-13"), ["MORNING", "AFTERNOON"]);
    }
}
