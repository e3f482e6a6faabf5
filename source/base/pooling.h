// Whether freed objects are kept for reuse. Under AddressSanitizer they are not, so that it sees a
// use after free. Constant.
#pragma once

namespace sluice {

#ifdef SLUICE_ASAN
inline constexpr bool kPooling = false;
#else
inline constexpr bool kPooling = true;
#endif

}  // namespace sluice
