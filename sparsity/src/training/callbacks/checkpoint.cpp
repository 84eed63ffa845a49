#include "coppice/sparsity/training/callbacks/checkpoint.h"

#include <map>
#include <utility>

#include "../flat_json.h"
#include "coppice/engine/checked.h"
#include "coppice/engine/io/json.h"
#include "coppice/engine/io/safetensors.h"
#include "training_state.h"

namespace coppice::sparsity {
namespace {

constexpr const char* kKey = "coppice.finetune";
constexpr std::int64_t kFormat = 1;

/// The first setting in which two recipes differ, in words.
std::string difference(const std::map<std::string, std::string>& theirs,
                       const std::map<std::string, std::string>& ours) {
  for (const auto& [key, value] : ours) {
    const auto twin = theirs.find("recipe." + key);
    if (twin == theirs.end()) return cat(key, " was not there and is ", value);
    if (twin->second != value) return cat(key, " was ", twin->second, " and is ", value);
  }
  for (const auto& [key, value] : theirs)  // settings that are written only where they are not the usual ones
    if (key.starts_with("recipe.") && !ours.contains(key.substr(7)))
      return cat(quote(key.substr(7)), " was ", value, " and is not there");
  return "";
}

void check_recipe(const NamedTensors& all, const std::string& recipe, const Source& source) {
  const auto found = all.metadata().find(kKey);
  const std::string place = cat("metadata ", quote(kKey));
  if (found == all.metadata().end()) source.reject("the file is no checkpoint of fine-tuning: it has no ", place);
  const std::map<std::string, std::string> document = read_flat_json(found->second, place, source);
  const auto member = [&](const char* name) {
    const auto at = document.find(name);
    return at == document.end() ? std::string("not there") : at->second;
  };
  if (const std::string format = member("format"); format != cat(kFormat))
    source.reject(place, ": format version 1 is read; \"format\" is ", quote(format));
  if (member("recipe") != "{}")
    source.reject(place, " must have an object \"recipe\"; it is ", quote(member("recipe")));
  if (const std::string d = difference(document, read_flat_json(recipe, "the recipe", source)); !d.empty())
    source.reject("the checkpoint belongs to another run: ", d);
}

}  // namespace

Checkpoint::Checkpoint(std::filesystem::path path, std::string recipe, const ReadOptions& read)
    : path_(std::move(path)), recipe_(std::move(recipe)), read_(read) {
  read_.map = false;
  try {  // a file that nobody could go on from is found out now, not after the training
    if (read_flat_json(document(), "the recipe", Source{"Checkpoint", path_.string()}).at("recipe") != "{}")
      throw FormatError("it must be an object");
  } catch (const Error& e) {
    throw ValueError(cat("[Checkpoint] the recipe must be a JSON object of numbers and texts: ", e.what()));
  }
}

std::string Checkpoint::document() const {
  return JsonWriter().open_object().key("format").value(kFormat).key("recipe").json(recipe_).close_object().text();
}

void Checkpoint::add(Part part) {
  if (!part.save || !part.load) throw ValueError("[Checkpoint] a part needs a function that saves and one that loads");
  parts_.push_back(std::move(part));
}

void Checkpoint::on_train_epoch_end(TrainContext& context) {
  NamedTensors all = save_training(context, parts_);
  all.metadata()[kKey] = document();
  write_safetensors(path_, all, {.checksums = true});
}

void Checkpoint::on_fit_start(TrainContext& context) {
  // What cannot be looked at is not there either, or cannot be written, which the first save says.
  std::error_code ignored;
  if (!std::filesystem::exists(path_, ignored)) return;
  const Source source{"finetune", path_.string()};
  const NamedTensors all = read_safetensors(path_, read_);
  check_recipe(all, recipe_, source);
  try {
    load_training(all, context, parts_, read_.limits);
  } catch (const FormatError&) {
    throw;
  } catch (const LimitError&) {  // memory that runs out is no fault of the file
    throw;
  } catch (const Error& e) {
    source.reject(e.what());
  }
}

}  // namespace coppice::sparsity
