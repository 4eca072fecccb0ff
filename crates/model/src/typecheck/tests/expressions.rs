//! The types of expressions, and the places of their faults.

use super::{accepted, check};

#[test]
fn expressions_are_typed() {
    check(
        r#"
  o:
    uses: order/any
    if: input.country == 'UK'
    with:
      a: ${{ input.contry }}
      b: ${{ input.lines == '1' }}
      c: ${{ input.country + input.lines }}
      d: "${{ input.lines ? 1 : 2 }}"
      e: ${{ steps.customer.addresses[0].zap }}
      f: ${{ steps.customer.addresses.zip }}
      g: ${{ size(input.lines) }}
      h: ${{ each.index }}
      i: ${{ facts.customer.status }}
      j: ${{ input.ids.map(i, i + 1) }}
      k: name ${{ input.ids }}
"#,
        r#"
3:9+21 impossible_enum the two are never equal | possible is "CZ", "FR"
5:14+12 unknown_field there is no field `contry` | did you mean `country`?
6:14+18 type_mismatch an integer is never equal to a string | compare values of one kind; convert with `string(…)` or `int(…)`
7:14+27 type_mismatch `+` cannot take a string and an integer | convert one of them with `string(…)`, `int(…)` or `double(…)`
8:15+11 type_mismatch true or false is expected here | this is an integer
9:14+31 unknown_field there is no field `zap` | did you mean `zip`?
10:14+28 unknown_field a list has no field `zip` | a step with `for_each` is a list: write `[0]`, or `.map(one, one.…)`
11:19+11 type_mismatch `size` takes a string, a list or a map here | this is an integer
12:14+10 unknown_variable `each` exists only in `with` of a step that has `for_each` | add `for_each`, or use `input` or `steps`
13:14+14 unknown_variable facts are there only in `invariants`: they are read after all steps | use the output of the step, `steps.…`
14:31+5 type_mismatch `+` cannot take a string and an integer | convert one of them with `string(…)`, `int(…)` or `double(…)`
15:19+9 not_text a list cannot stand inside text | choose a string, a number or a boolean of it
"#,
    );
    check(
        r#"
  o:
    uses: order/any
    if: input.lines
    with:
      a: ${{ input.ids.all(i, i) }}
      b: ${{ 'x' in input.country }}
      c: ${{ 1 in input.ids }}
      d: ${{ -input.country }}
      e: ${{ null < input.lines }}
      f: ${{ input.country.startsWith(7) }}
      g: ${{ input.ids['a'] }}
      h: ${{ has(input.contry) }}
"#,
        r#"
3:9+11 type_mismatch the condition is an integer, not true or false | compare it with something
5:31+1 type_mismatch true or false is expected here | this is a string
6:21+13 type_mismatch `in` looks into a list or a map | this is a string
7:14+14 type_mismatch an integer is never equal to a string | compare values of one kind; convert with `string(…)` or `int(…)`
8:15+13 type_mismatch `-` takes a number | this is a string
9:14+18 type_mismatch `<` cannot take null and an integer | change one of the two
10:39+1 type_mismatch `startsWith` takes a string here | this is an integer
11:14+14 unknown_field a list has no field `a` | a step with `for_each` is a list: write `[0]`, or `.map(one, one.…)`
12:14+17 unknown_field there is no field `contry` | did you mean `country`?
"#,
    );
    check(
        r#"
  o:
    uses: order/any
    if: input.vip && input.country in ['FR', 'DE']
    with:
      a: ${{ dyn(input.lines) == 'x' }}
      b: ${{ input.price * 2 + input.lines }}
      c: ${{ steps.customer.extra.anything.goes }}
      d: ${{ steps.customer["home-page"] }}
      e: ${{ input.ids.filter(i, i != 'x').map(i, size(i)) }}
      f: "${{ has(input.country) ? input.country : 'none' }}"
"#,
        "",
    );
}

#[test]
fn a_place_is_exact_in_every_style_of_yaml() {
    check(
        r#"
  o:
    uses: order/any
    if: >-
      input.lines > 1 &&
      input.contry == 'FR'
    with:
      a: |
        first ${{ input.lines }}
          second ${{ input.nope }}
      b: "tab\t\u00e9 ${{ input.nope }}"
      c: 'it''s ${{ input.nope }}'
      d: plain text
        ${{ input.nope }}
      e: [ x, { f: "${{input.lines}} é ${{  input.nope  }}" } ]
"#,
        r#"
5:7+12 unknown_field there is no field `contry` | did you mean `country`?
9:22+10 unknown_field there is no field `nope` | the fields are country, ids, lines, other, price, vip
10:27+10 unknown_field there is no field `nope` | the fields are country, ids, lines, other, price, vip
11:21+10 unknown_field there is no field `nope` | the fields are country, ids, lines, other, price, vip
13:13+10 unknown_field there is no field `nope` | the fields are country, ids, lines, other, price, vip
14:45+10 unknown_field there is no field `nope` | the fields are country, ids, lines, other, price, vip
"#,
    );
}

#[test]
fn for_each_gives_its_value_and_makes_a_list() {
    check(
        r#"
  o:
    uses: customer/active-customer
    for_each: input.ids
    with: { country: FR, nick: "${{ each.value }}", age: "${{ each.index + 18 }}" }
output:
  all: ${{ steps.o.map(one, one.customer_id) }}
  one: ${{ steps.o.customer_id }}
"#,
        r#"
7:12+19 unreachable_output a list has no field `customer_id` | a step with `for_each` is a list: write `[0]`, or `.map(one, one.…)`
"#,
    );
    check(
        r#"
  o: { uses: order/any, for_each: input.lines }
  p: { uses: customer/active-customer, for_each: "['FR', 'XX']", with: { country: "${{ each.value }}" } }
  q: { uses: order/any, for_each: "[]", if: each.index > 1 }
"#,
        r#"
1:35+11 type_mismatch `for_each` takes a list, this is an integer | give a list, as in `input.countries` or `[1, 2, 3]`
2:88+10 impossible_enum `country` never takes "XX" | it takes "CZ", "FR", "DE"
3:45+10 unknown_variable `each` exists only in `with` of a step that has `for_each` | add `for_each`, or use `input` or `steps`
"#,
    );
}

#[test]
fn a_list_that_is_too_long_for_for_each_is_refused_before_it_runs() {
    let each =
        |count: usize| format!("  o: {{ uses: order/any, for_each: \"[{}]\" }}", vec!["1"; count].join(","));
    assert!(accepted(&each(1_000)).warnings.is_empty());
    check(
        &each(1_001),
        "1:36+2003 limit `for_each` has 1001 values; at most 1000 are allowed | request several datasets instead",
    );
}

#[test]
fn invariants_read_facts_that_are_checked() {
    check(
        r#"
  p: { uses: billing/payment-account, with: { customer_id: x } }
  many: { uses: customer/active-customer, for_each: input.ids, with: { country: FR } }
invariants:
  - { that: facts.customer.status == 'ACTIVE' && facts.customer.orders > 0, says: fine }
  - { that: "facts.many.all(one, one.status == 'ACTIVE')", says: fine }
  - { that: "facts.maybe == null || facts.maybe.status == 'ACTIVE'", says: fine }
  - { that: facts.customer.status == 'OPEN', says: never }
  - { that: facts.p.status == 'OPEN', says: unchecked }
  - { that: facts.customer.id, says: no condition }
  - { that: facts.nobody.id == steps.customer.customer_id, says: unknown }
  - { that: facts.customer.missing == 1, says: unknown field }
  - { that: "facts.many.exists(one, one.status == 'GONE')", says: never }
"#,
        r#"
7:13+31 impossible_enum the two are never equal | possible is "ACTIVE", "CLOSED"
8:13+7 unchecked_facts `billing/payment-account` has no `check`, so there are no facts of it | ask its owner for a `check`, or use the output of the step, `steps.…`
9:13+17 type_mismatch the condition is a string, not true or false | compare it with something
10:13+12 unknown_step there is no step `nobody` | the steps are customer, maybe, p, many
11:13+22 unknown_field there is no field `missing` | the fields are id, orders, status
12:37+20 impossible_enum the two are never equal | possible is "ACTIVE", "CLOSED"
"#,
    );
}

#[test]
fn an_output_that_nobody_can_reach_is_refused() {
    check(
        r#"
output:
  a: ${{ steps.customer.id }}
  b: ${{ steps.nobody.id }}
  c: ${{ input.contry }}
  d: ${{ facts.customer.id }}
"#,
        r#"
2:10+17 unreachable_output there is no field `id` | the fields are addresses, customer_id, extra, home-page, middle, score, token
3:10+12 unreachable_output there is no step `nobody` | the steps are customer, maybe
4:10+12 unreachable_output there is no field `contry` | did you mean `country`?
5:10+14 unreachable_output facts are there only in `invariants`: they are read after all steps | use the output of the step, `steps.…`
"#,
    );
}
