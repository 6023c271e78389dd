//! The tables as diesel sees them: the same text for both engines, so only column types that both have.

diesel::table! {
    term (id) { id -> BigInt, kind -> SmallInt, scope -> BigInt, text -> Text, }
}

diesel::table! {
    concept_coding (coding, concept) { coding -> BigInt, concept -> BigInt, }
}

diesel::table! {
    log_head (one) { one -> SmallInt, seq -> BigInt, parameters -> BigInt, }
}

diesel::table! {
    ready_parameter (seq) { seq -> BigInt, }
}

diesel::table! {
    reindexing (one) {
        one -> SmallInt,
        state -> SmallInt,
        kinds -> Text,
        versions -> Text,
        place -> BigInt,
        until -> BigInt,
        done -> BigInt,
        total -> Nullable<BigInt>,
        started -> BigInt,
        finished -> Nullable<BigInt>,
        touched -> BigInt,
    }
}

diesel::table! {
    observation (seq) {
        seq -> BigInt,
        id -> Binary,
        version -> Integer,
        updated -> BigInt,
        deleted -> Bool,
        subject -> Nullable<BigInt>,
        concept -> Nullable<BigInt>,
        starts -> BigInt,
        ends -> BigInt,
        value -> Nullable<Double>,
        unit -> Nullable<BigInt>,
        canonical -> Nullable<Double>,
        status -> SmallInt,
        category -> Nullable<BigInt>,
        device -> Nullable<BigInt>,
        encounter -> Nullable<BigInt>,
        body -> Binary,
        profile -> Nullable<BigInt>,
    }
}

diesel::table! {
    wave (seq, lead) {
        seq -> BigInt,
        lead -> SmallInt,
        subject -> BigInt,
        concept -> BigInt,
        panel -> BigInt,
        starts -> BigInt,
        ends -> BigInt,
        low -> Double,
        high -> Double,
        unit -> Nullable<BigInt>,
    }
}

diesel::table! {
    observation_span (one) { one -> SmallInt, longest -> BigInt, }
}

diesel::table! {
    observation_zone (concept, zone) {
        concept -> BigInt,
        zone -> BigInt,
        value_low -> Double,
        value_high -> Double,
        canonical_low -> Double,
        canonical_high -> Double,
    }
}

diesel::table! {
    resource (seq) {
        seq -> BigInt,
        rtype -> SmallInt,
        id -> Binary,
        version -> Integer,
        updated -> BigInt,
        deleted -> Bool,
        body -> Binary,
    }
}

diesel::table! {
    history (seq) {
        seq -> BigInt,
        rtype -> SmallInt,
        id -> Binary,
        version -> Integer,
        updated -> BigInt,
        deleted -> Bool,
        body -> Binary,
    }
}

diesel::table! {
    oddity (seq) { seq -> BigInt, issues -> Text, }
}

diesel::table! {
    ix_term (param, term, seq) { param -> BigInt, term -> BigInt, seq -> BigInt, }
}

diesel::table! {
    ix_string (param, folded, exact, seq) { param -> BigInt, folded -> Text, exact -> Text, seq -> BigInt, }
}

diesel::table! {
    ix_date (param, starts, ends, seq) { param -> BigInt, starts -> BigInt, ends -> BigInt, seq -> BigInt, }
}

diesel::table! {
    ix_quantity (param, canonical, value, unit, seq) {
        param -> BigInt,
        canonical -> Double,
        value -> Double,
        unit -> BigInt,
        seq -> BigInt,
    }
}

diesel::table! {
    ix_pair (param, first, second, low, high, unit, seq) {
        param -> BigInt,
        first -> BigInt,
        second -> BigInt,
        low -> Double,
        high -> Double,
        unit -> BigInt,
        seq -> BigInt,
    }
}

diesel::table! {
    component (seq, n) {
        seq -> BigInt,
        n -> SmallInt,
        concept -> BigInt,
        value -> Nullable<Double>,
        unit -> Nullable<BigInt>,
        canonical -> Nullable<Double>,
        value_concept -> Nullable<BigInt>,
    }
}

diesel::table! {
    referent (term) { term -> BigInt, kind -> SmallInt, key -> Binary, }
}

diesel::table! {
    reader (name) { name -> Text, seq -> BigInt, epoch -> BigInt, holder -> Text, leased -> BigInt, }
}

diesel::table! {
    account (id) {
        id -> Text,
        username -> Text,
        name -> Text,
        role -> Text,
        password -> Text,
        created -> BigInt,
        resource -> Nullable<Text>,
    }
}

diesel::table! {
    session (hash) { hash -> Binary, account -> Text, expires -> BigInt, opened -> BigInt, agent -> Text, }
}

diesel::allow_tables_to_appear_in_same_query!(component, concept_coding, observation);
diesel::allow_tables_to_appear_in_same_query!(oddity, observation);
diesel::allow_tables_to_appear_in_same_query!(oddity, resource);

diesel::table! {
    message (id) {
        id -> BigInt,
        received -> BigInt,
        channel -> Text,
        peer -> Text,
        kind -> Text,
        sender -> Text,
        control -> Text,
        hash -> Binary,
        verdict -> Text,
        issues -> Text,
        made -> Text,
        settled -> Bool,
        replays -> Nullable<BigInt>,
        body -> Binary,
        place -> Nullable<Text>,
    }
}

diesel::table! {
    credential (id) {
        id -> Text,
        device -> Text,
        kind -> Text,
        public_key -> Nullable<Text>,
        hash -> Nullable<Binary>,
        alias -> Nullable<Binary>,
        label -> Text,
        made_by -> Text,
        created -> BigInt,
        expires -> Nullable<BigInt>,
        revoked -> Nullable<BigInt>,
    }
}

diesel::table! {
    claim (hash) { hash -> Binary, device -> Text, made_by -> Text, expires -> BigInt, }
}

diesel::table! {
    spent (hash) { hash -> Binary, expires -> BigInt, }
}

diesel::table! {
    batch_key (principal, key) {
        principal -> Text,
        key -> Text,
        hash -> Binary,
        status -> Nullable<SmallInt>,
        answer -> Nullable<Binary>,
        at -> BigInt,
    }
}

diesel::table! {
    held (reading) {
        reading -> Text,
        device -> Text,
        reason -> Text,
        starts -> BigInt,
        received -> BigInt,
        body -> Binary,
    }
}

diesel::table! {
    contact (device) {
        device -> Text,
        measured -> BigInt,
        received -> BigInt,
        battery -> Nullable<Double>,
    }
}

diesel::table! {
    smart_client (id) {
        id -> Text,
        metadata -> Text,
        secret -> Nullable<Binary>,
        made_by -> Text,
        created -> BigInt,
        disabled -> Nullable<BigInt>,
    }
}

diesel::table! {
    smart_ticket (hash) {
        hash -> Binary,
        kind -> Text,
        body -> Text,
        expires -> BigInt,
        used -> Nullable<BigInt>,
    }
}

diesel::table! {
    smart_grant (id) {
        id -> Text,
        client -> Text,
        account -> Nullable<Text>,
        session -> Nullable<Binary>,
        body -> Text,
        created -> BigInt,
        expires -> BigInt,
        revoked -> Nullable<BigInt>,
    }
}

diesel::table! {
    smart_key (kid) { kid -> Text, sealed -> Binary, created -> BigInt, }
}

diesel::table! {
    audit_block (first) {
        first -> BigInt,
        count -> Integer,
        starts -> BigInt,
        ends -> BigInt,
        hash -> Binary,
        marks -> Binary,
        body -> Binary,
    }
}

diesel::table! {
    audit_key (key, first) { key -> BigInt, first -> BigInt, }
}

diesel::table! {
    audit_head (one) { one -> SmallInt, seq -> BigInt, hash -> Binary, }
}

diesel::allow_tables_to_appear_in_same_query!(audit_block, audit_key);
