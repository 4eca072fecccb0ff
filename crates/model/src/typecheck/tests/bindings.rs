//! Bindings against the contracts of the shop.

use super::check;

#[test]
fn what_a_contract_requires_must_be_given() {
    check(
        r#"
  c: { uses: customer/active-customer }
  d: { uses: customer/active-customer, with: { nick: x } }
  e: { uses: billing/payment-account, with: { customer_id: x } }
"#,
        r#"
1:3+1 missing_binding `country` is required and not given | add `country:` with a value or `${{ }}`
2:3+1 missing_binding `country` is required and not given | add `country:` with a value or `${{ }}`
"#,
    );
}

#[test]
fn what_a_contract_does_not_take_is_refused() {
    check(
        r#"
  c: { uses: customer/active-customer, with: { country: FR, nik: x } }
  o: { uses: order/any, with: { anything: "${{ input.lines }}" } }
"#,
        r#"
1:61+3 unknown_property the contract takes no `nik` | did you mean `nick`?
"#,
    );
}

#[test]
fn constants_are_validated() {
    check(
        r#"
  c: { uses: customer/active-customer, with: { country: 7, age: 17, nick: NO } }
  d: { uses: customer/active-customer, with: { country: US, age: 1.5, nick: 75001 } }
  e: { uses: customer/active-customer, with: { country: FR, nick: 010, age: 1e3 } }
  p:
    uses: billing/payment-account
    with:
      customer_id: x
      owner: { name: 5 }
      tags: [a, 7]
      limit: ~
"#,
        r#"
1:57+1 binding_type `country` takes a string, this is an integer | put it in quotes
1:65+2 binding_type `age` 17 is below the minimum of 18 | see the input schema of the contract
2:57+2 impossible_enum `country` never takes "US" | it takes "CZ", "FR", "DE"
2:66+3 binding_type `age` takes an integer, this is a number | give an integer
2:77+5 binding_type `nick` takes a string, this is an integer | put it in quotes
3:77+3 binding_type `age` takes an integer, this is a string | give an integer
8:22+1 binding_type `name` takes a string, this is an integer | put it in quotes
9:13+1 binding_type `tags`/1 the value is not a string | see the input schema of the contract
"#,
    );
}

#[test]
fn bindings_are_compared_with_the_input_schema() {
    check(
        r#"
  c:
    uses: customer/active-customer
    with:
      country: ${{ input.lines }}
      age: ${{ input.price }}
      nick: ${{ input.ids }}
"#,
        r#"
4:20+11 binding_type `country` takes a string, this is an integer | convert it with `string(…)`
5:16+11 binding_type `age` takes an integer, this is a number | convert it with `int(…)`
6:17+9 binding_type `nick` takes a string, this is a list | give a string
"#,
    );
    check(
        r#"
  c: { uses: customer/active-customer, with: { country: "${{ input.other }}" } }
  d: { uses: customer/active-customer, with: { country: "${{ input.vip ? 'FR' : 'XX' }}" } }
  e: { uses: customer/active-customer, with: { country: "${{ input.country }}", age: "${{ input.lines }}" } }
"#,
        r#"
1:62+11 impossible_enum `country` never takes "US" | it takes "CZ", "FR", "DE"
2:62+23 impossible_enum `country` never takes "XX" | it takes "CZ", "FR", "DE"
"#,
    );
    check(
        r#"
  p:
    uses: billing/payment-account
    with:
      customer_id: ${{ steps.customer.middle }}
      tags: ${{ steps.customer.addresses }}
      owner: {}
      limit: ${{ steps.customer.score }}
"#,
        r#"
4:24+21 binding_type `customer_id` takes a string, this is a string or null | give something else instead of null: `value != null ? value : …`
5:17+24 binding_type an element of `tags` takes a string, this is a map | give a string
6:14+1 missing_binding `name` is required and not given | add `name:` with a value or `${{ }}`
7:18+20 binding_type `limit` takes an integer or null, this is a number | convert it with `int(…)`
"#,
    );
    check(
        r#"
  p:
    uses: billing/payment-account
    with:
      customer_id: ${{ steps.customer.extra }}
      tags: [a, "${{ input.lines }}", "no ${{ input.lines }}"]
      owner: ${{ steps.customer }}
      limit: ${{ null }}
      currency: "${{ {'a': 1} }}"
"#,
        r#"
5:22+11 binding_type an element of `tags` takes a string, this is an integer | convert it with `string(…)`
6:18+14 binding_type `owner` takes a map that has `name` | build the map field by field
8:22+8 binding_type `currency` takes a string, this is a map | give a string
"#,
    );
    check(
        r#"
  c: { uses: customer/active-customer, with: "${{ input }}" }
  p: { uses: billing/payment-account, with: "${{ {'customer_id': 7} }}" }
  q: { uses: billing/payment-account, with: "${{ input.lines }}" }
"#,
        r#"
2:50+18 binding_type `customer_id` of the input takes a string, this is an integer | convert it with `string(…)`
3:50+11 binding_type the input takes a map, this is an integer | give a map
"#,
    );
}

#[test]
fn a_step_that_may_be_skipped_is_guarded() {
    check(
        r#"
  p: { uses: billing/payment-account, with: { customer_id: "${{ steps.maybe.customer_id }}" } }
  q: { uses: billing/payment-account, with: { customer_id: "id ${{ steps.maybe.customer_id }}" } }
  r: { uses: order/any, for_each: steps.maybe.addresses, with: { a: "${{ each.value.zip }}" } }
"#,
        r#"
1:65+23 maybe_skipped `maybe` may be skipped, and `customer_id` does not take null | give another value, `steps.maybe != null ? … : …`, or put the same `if` on this step
2:68+23 maybe_skipped `maybe` may be skipped, and the text does not take null | give another value, `steps.maybe != null ? … : …`, or put the same `if` on this step
3:35+21 maybe_skipped `maybe` may be skipped, and `for_each` does not take null | write `steps.maybe != null ? … : []`, or put the same `if` on this step
"#,
    );
    check(
        r#"
  a:
    uses: billing/payment-account
    with: { customer_id: "${{ steps.maybe != null ? steps.maybe.customer_id : 'none' }}" }
  b:
    uses: billing/payment-account
    with: { customer_id: "${{ steps.maybe == null ? 'none' : steps.maybe.customer_id }}" }
  c:
    uses: billing/payment-account
    if: input.vip && input.lines > 1
    with: { customer_id: "${{ steps.maybe.customer_id }}" }
  d:
    uses: billing/payment-account
    if: steps.maybe != null
    with: { customer_id: "${{ steps.maybe.customer_id }}" }
  e: { uses: order/any, with: { customer_id: "${{ steps.maybe.customer_id }}" } }
"#,
        "",
    );
}
