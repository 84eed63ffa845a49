#include "app/command_line.h"

#include <algorithm>
#include <cstdio>

#include "coppice/engine/checked.h"

namespace coppice::cli {
namespace {

bool is_plain(char c) {
  constexpr std::string_view kPlain = "_@%+=:,./-";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kPlain.find(c) != kPlain.npos;
}

}  // namespace

std::string shell_quoted(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  if (word.find('\n') != word.npos || coppice::printable(word) != word) {
    std::string out = "$'";
    for (const char c : word) {
      char code[8];
      std::snprintf(code, sizeof code, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += is_plain(c) ? std::string(1, c) : code;
    }
    return out + '\'';
  }
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + '\'';
}

std::string option_text(const std::string& name, const std::string& value) {
  return ' ' + name + (value.starts_with('-') ? '=' : ' ') + shell_quoted(value);
}

std::string command_line(const CLI::App& command, const std::vector<std::string>& except) {
  std::string words, options;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (option->count() == 0 || std::ranges::find(except, name) != except.end()) continue;
    if (option->get_positional())
      for (const std::string& word : option->results())
        words += ' ' + shell_quoted(word.starts_with('-') ? "./" + word : word);
    else if (option->get_expected_max() == 0)
      options += ' ' + name;
    else
      for (const std::string& value : option->results()) options += option_text(name, value);
  }
  return "coppice " + command.get_name() + words + options;
}

}  // namespace coppice::cli
