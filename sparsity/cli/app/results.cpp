#include "app/results.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "app.h"
#include "coppice/engine/error.h"

namespace coppice::cli {
namespace {

std::string results;

}  // namespace

void print(const std::string& line) { results += line + '\n'; }

void print(const std::string& schema, Json document) {
  Json out;
  out["schema"] = schema;
  for (auto& [key, value] : document.items()) out[key] = std::move(value);  // may list a million tensors: no copy
  // Text from a file may be no UTF-8: show it replaced rather than fail.
  print(out.dump(2, ' ', false, Json::error_handler_t::replace));
}

void flush_results() {
  const char* at = results.data();
  std::size_t left = results.size();
  while (left > 0) {
    const ssize_t n = write(STDOUT_FILENO, at, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      results.clear();
      throw IoError(cat("[stdout] cannot write the results: ", std::strerror(errno)));
    }
    at += n;
    left -= static_cast<std::size_t>(n);
  }
  results.clear();
}

void note(const App& app, const std::string& line) {
  if (!app.quiet) std::cerr << line << '\n';
}

}  // namespace coppice::cli
