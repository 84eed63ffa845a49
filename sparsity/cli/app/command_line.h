#pragma once
// Commands as a user types them, for messages that say what works.

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace coppice::cli {

/// One word of a command line for a POSIX shell; $'\x0a' of Bash where control or broken characters make that needed.
[[nodiscard]] std::string shell_quoted(std::string_view word);

/// The command that was given, without the options in `except`.
/// @param except  names such as "--key"
[[nodiscard]] std::string command_line(const CLI::App& command, const std::vector<std::string>& except);

/// " --key 'a b'"; joined by = where the value looks like an option.
[[nodiscard]] std::string option_text(const std::string& name, const std::string& value);

}  // namespace coppice::cli
