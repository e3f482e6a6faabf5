// Looking names up, and back. Constant data.
#include "source/http/header_id.h"

#include "source/http/header_table.h"

namespace sluice {

HeaderId FindHeaderId(std::string_view lower_case_name) {
  return header_table::Find(lower_case_name);
}

std::string_view HeaderName(HeaderId id) {
  return id == HeaderId::kOther ? "" : header_table::kNames[static_cast<size_t>(id) - 1].name;
}

}  // namespace sluice
