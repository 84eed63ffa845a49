#pragma once
// How far a loop is.

#include <cstdint>
#include <string>

namespace coppice::cli {

struct App;

/// A line on a terminal that shows how far a loop is, with the time left; nothing elsewhere.
class Progress {
 public:
  Progress(const App& app, std::string what, std::int64_t total);
  ~Progress();
  void update(std::int64_t done, const std::string& detail = "");

 private:
  bool shown_;
  std::string what_;
  std::int64_t total_;
  double start_;
};

}  // namespace coppice::cli
