// What every command includes and nobody changes, compiled once: these two headers are most of a command's compile
// time.

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
