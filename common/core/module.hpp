// SPDX-License-Identifier: MIT
// A module: documentation, parameters and a planner. Everything else is the executor's.
#pragma once

#include "common/core/executor.hpp"
#include "common/core/params.hpp"

namespace pvegpu {

/// ModuleDoc::answer
template <class Answer>
const replies::ReplyBase& answer_of() {
  return reply_of<Answer>();
}

/// What ansible-doc shows beside the parameters, which come from the Spec. The examples are checked by the contract tests.
struct ModuleDoc {
  const char* name;
  DocText summary;                                  ///< one line, no full stop
  DocTexts description;                             ///< one sentence or paragraph each
  DocText examples;                                 ///< YAML: a list of tasks
  const replies::ReplyBase& (*answer)() = nullptr;  ///< answer_of<the struct that it reports>
  DocTexts notes = {};
  Effects effects = Effects::allowed;  ///< none: an information module, whose plan may hold no step
};

/// One module with its parameter type erased, so that tools and tests can walk all of them.
class Module {
 public:
  explicit Module(ModuleDoc doc) : doc_(std::move(doc)) {}
  virtual ~Module() = default;

  const ModuleDoc& doc() const { return doc_; }
  /// {"DOCUMENTATION": {…}, "EXAMPLES": "…", "RETURN": "…"}; nothing where the executable carries none.
  std::optional<json> describe() const;
  /// The whole task: parse, plan, execute. Every failure is in the answer; it does not throw.
  json run(const json& args, Host& host) const;
  /// The values of secret parameters in raw arguments, also in those that do not parse.
  virtual std::vector<std::string> secrets(const json& args) const = 0;
  /// What is read of raw arguments.
  virtual Kept kept() const = 0;

 protected:
  virtual json options() const = 0;
  virtual json constraints() const = 0;
  virtual json identity(const json& invocation) const = 0;
  /// Parses, or throws ModuleError. The planner keeps the parameters.
  virtual Planner planner(const json& args, json& invocation) const = 0;

 private:
  ModuleDoc doc_;
};

template <class P>
class ModuleOf final : public Module {
 public:
  using PlanFunction = void (*)(const P&, const HostView&, Plan&);

  ModuleOf(ModuleDoc doc, Spec<P> spec, PlanFunction plan) : Module(std::move(doc)), spec_(std::move(spec)), plan_(plan) {}

  std::vector<std::string> secrets(const json& args) const override { return spec_.secrets(args); }
  Kept kept() const override { return spec_.kept(); }

 protected:
  json options() const override { return spec_.describe(); }
  json constraints() const override { return spec_.constraints(); }
  json identity(const json& invocation) const override { return spec_.identity(invocation); }
  Planner planner(const json& args, json& invocation) const override {
    auto params = std::make_shared<P>(spec_.parse(args, &invocation));
    return [params, plan = plan_](const HostView& host, Plan& out) { plan(*params, host, out); };
  }

 private:
  Spec<P> spec_;
  PlanFunction plan_;
};

/// Each modules/NAME.cpp ends with PVEGPU_MODULE(NAME, doc, spec, plan); the registry is generated from the file names.
#define PVEGPU_MODULE(name, params, doc, spec, plan)       \
  const Module& module_##name() {                          \
    static const ModuleOf<params> module{doc, spec, plan}; \
    return module;                                         \
  }

}  // namespace pvegpu
