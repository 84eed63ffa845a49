#include "coppice/nn/handle.h"

#include <algorithm>

#include "coppice/engine/checked.h"
#include "coppice/engine/error.h"
#include "coppice/nn/module.h"

namespace coppice::nn::detail {
namespace {

thread_local HandleCopies* copies = nullptr;  // the innermost of this thread

}  // namespace

Anchor::Anchor(const Anchor& other) {
  if (other.home_ == nullptr) return;
  home_ = std::make_shared<Home>(Home{nullptr, other.home_->names});
  if (copies == nullptr || copies->of_ != &other) return;
  copies->from_ = other.home_;
  copies->to_ = home_;
}

Anchor::~Anchor() {
  if (home_ != nullptr) home_->module = nullptr;
}

const std::shared_ptr<Home>& Anchor::home(Module& owner) {
  if (home_ == nullptr) home_ = std::make_shared<Home>();
  home_->module = &owner;
  return home_;
}

bool Anchor::names(std::string_view child) const {
  return home_ != nullptr && std::ranges::find(home_->names, child) != home_->names.end();
}

HandleCopies::HandleCopies(const Anchor& of) : of_(&of), above_(copies) { copies = this; }
HandleCopies::~HandleCopies() { copies = above_; }

void HandleCopies::settle(Module& copy) const {
  if (to_ != nullptr) to_->module = &copy;
}

ChildHandle::ChildHandle(Module& owner, std::string_view name, ModulePtr child) : name_(name) {
  if (owner.children().contains(name))  // add_module would replace it
    throw KeyError(cat("[Child] the module already has a child ", quote(name)));
  owner.add_module(name, std::move(child));
  home_ = owner.home_of_handles();
  home_->names.push_back(name_);
}

ChildHandle::ChildHandle(const ChildHandle& other) : name_(other.name_) {
  if (copies != nullptr && copies->from_ != nullptr && other.home_ == copies->from_) home_ = copies->to_;
}

ModulePtr ChildHandle::module() const {
  if (home_ == nullptr || home_->module == nullptr)
    throw StateError(cat("[Child] ", quote(name_),
                         " belongs to no module: the handle was copied out of its module, or outlived it"));
  return home_->module->child(name_);
}

void ChildHandle::wrong_type(const Module& found, std::string_view wanted) const {
  throw TypeError(cat("[Child] ", quote(name_), " is a ", found.type_name(), ", not a ", wanted,
                      "; it can be called all the same"));
}

}  // namespace coppice::nn::detail
