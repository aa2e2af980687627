// JSON Schema -> a grammar of the JSON texts that a model may write.
//
// Supported: type (one or a list: object, array, string, number, integer, boolean, null), properties,
// required, additionalProperties, items, minItems, maxItems, minLength, maxLength, minimum and maximum of an
// integer (both, at most 1,000 values apart, or minimum 0 alone), enum, const, anyOf, $ref into the same
// schema ("#", "#/$defs/name"), also recursive. title, description and other annotations are ignored. Any
// other keyword is an Error that names it and its place: what cannot be guaranteed is not pretended.
//
// The grammar is narrower than JSON, so that every text ends and models find their way: an object with
// properties has these, in the order of the schema, and no others; white space is at most one space behind
// "," and ":", and one in front of the text; numbers have at most 16 digits before and behind the point;
// \u escapes are no surrogates. Every text it allows is valid under the schema.
#pragma once

#include <string_view>

#include "base/result.h"
#include "sample/grammar.h"

namespace mobilevlm {

Result<Grammar> CompileJsonSchema(std::string_view schema);

}  // namespace mobilevlm
