// Simple case mappings of Unicode 14, as Python 3.11's str.lower uses them.
#pragma once

namespace mobilevlm::eval {

// The lower-case letter of a code point, or itself. U+0130, whose lower case is two code points, is left to
// the caller.
char32_t LowerCodePoint(char32_t c);
// The letter whose lower case this is, or itself.
char32_t UpperCodePoint(char32_t c);

}  // namespace mobilevlm::eval
