#pragma once
// The program in a process of its own.

#include <string>

namespace coppice::cli {

/// Runs `coppice run`. @throws StateError  if it fails; Interrupted  if it or we were
void run_elsewhere(const std::string& model, const std::string& input, const std::string& output);

}  // namespace coppice::cli
