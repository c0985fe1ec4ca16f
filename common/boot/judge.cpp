// SPDX-License-Identifier: MIT
// What is unwanted on a command line, and whether a result may be written.
#include "common/boot/places.hpp"
#include "common/text/kernel_parameters.hpp"

#include <algorithm>

namespace pvegpu::boot {
namespace {

/// COMMAND_LINE_SIZE of x86 (arch/x86/include/asm/setup.h) without the NUL at the end. GRUB leaves out what is beyond it.
constexpr std::size_t longest = 2047;

bool names_root(const KernelParameter& p) { return p.key == "root" && p.value && !p.value->empty(); }

}  // namespace

bool holds(const Parameters& all, const KernelParameter& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

std::string listed(const Parameters& all) {
  std::vector<std::string> words;
  for (const KernelParameter& p : all) words.push_back(p.print());
  return fmt::format("{}", fmt::join(words, " "));
}

Parameters leaving(const Parameters& all, const CmdlineWish& wish) {
  Parameters out;
  for (const KernelParameter& p : wish.withdrawn)
    if (!holds(wish.present, p)) out.push_back(p);
  std::erase_if(out, [&](const KernelParameter& p) {
    return p.key == "hugepagesz" && std::any_of(all.begin(), all.end(), [&](const KernelParameter& each) {
             return each.key == "hugepages" && text::same_size(each.size, p.value.value_or("")) && !holds(wish.withdrawn, each);
           });
  });
  return out;
}

Parameters unwanted(const Parameters& theirs, const CmdlineWish& wish) {
  Parameters out;
  const auto add = [&](const Parameters& words) {
    for (const KernelParameter& p : words)
      if (!holds(out, p)) out.push_back(p);
  };
  for (const KernelParameter& p : wish.forbidden) add(text::saying(theirs, p));
  for (const KernelParameter& p : wish.present) add(text::against(theirs, p));
  if (wish.conflicts == Conflicts::remove)
    for (const KernelParameter& p : leaving(theirs, wish)) add(text::saying(theirs, p));
  return out;
}

text::ParameterEdit without_unwanted(Parameters theirs, const CmdlineWish& wish) {
  std::vector<std::pair<KernelParameter, std::optional<KernelParameter>>> parts;
  while (true) {
    const std::size_t known = parts.size();
    for (const KernelParameter& word : unwanted(theirs, wish)) {
      std::optional<KernelParameter> part = word;
      for (const KernelParameter& p : wish.forbidden)
        if (part) part = text::without(*part, p);
      for (const KernelParameter& p : wish.present)
        if (part && holds(text::against(theirs, p), word)) part = text::reconciled(*part, p);
      if (wish.conflicts == Conflicts::remove)
        for (const KernelParameter& p : leaving(theirs, wish))
          if (part) part = text::without(*part, p);
      if (part != word) parts.emplace_back(word, part);
    }
    if (parts.size() == known) break;
    theirs = edited(theirs, [&](const KernelParameter& p) {
      for (std::size_t i = known; i < parts.size(); ++i)
        if (parts[i].first == p) return parts[i].second;
      return std::optional<KernelParameter>(p);
    });
  }
  return [parts](const KernelParameter& p) {
    std::optional<KernelParameter> out = p;
    for (const auto& [word, part] : parts)
      if (out && *out == word) out = part;
    return out;
  };
}

Parameters edited(const Parameters& all, const text::ParameterEdit& edit) {
  Parameters out;
  for (const KernelParameter& p : all)
    if (const auto part = edit(p)) out.push_back(*part);
  return out;
}

Parameters lacking(Parameters all, const CmdlineWish& wish) {
  Parameters out;
  for (const KernelParameter& p : wish.present) {
    if (text::in_force(all, p)) continue;
    out.push_back(p);
    all.push_back(p);
  }
  return out;
}

void note_conflict(Job& job, const KernelParameter& theirs, const std::string& file, unsigned line) {
  Conflict note{theirs.print(), file, line};
  if (std::find(job.conflicting.begin(), job.conflicting.end(), note) == job.conflicting.end()) job.conflicting.push_back(std::move(note));
  if (job.wish.conflicts == Conflicts::remove) return;
  job.plan.refuse(
      fmt::format("'{}' in {} contradicts what is wished{}{}; take it out there, or give conflicts: remove",
                  theirs.size.empty() ? theirs.print() : fmt::format("hugepagesz={} {}", theirs.size, theirs.print()),
                  line > 0 ? fmt::format("{} line {}", file, line) : file,
                  job.wish.present.empty() ? std::string() : fmt::format(" ({})", listed(job.wish.present)),
                  theirs.key == "hugepagesz" ? ", for the kernel takes one hugepages= for each hugepagesz=, right behind it" : ""));
}

void keep_foreign(Job& job, const Parameters& theirs, const char* where) {
  if (job.wish.conflicts == Conflicts::remove) return;
  for (const KernelParameter& p : job.wish.withdrawn)
    if (!holds(job.wish.present, p))
      for (const KernelParameter& word : text::saying(theirs, p))
        job.plan.warn(
            fmt::format("'{}' stays on the command line: others wrote it ({}); conflicts: remove takes it away", word.print(), where));
}

std::string objection(const Outcome& outcome, const CmdlineWish& wish, const BootFacts& facts) {
  const Parameters& after = outcome.after;
  if (!outcome.loader_adds_root && std::none_of(after.begin(), after.end(), names_root))
    return "the command line would have no root=, with which this host would not boot; leave root= as it is";
  for (const KernelParameter& p : outcome.before)
    if (text::mounts_root(p) && text::in_force(outcome.before, p) && !text::in_force(after, p))
      return fmt::format(
          "'{}' says how the root file system is found or mounted; without it this host may not boot; leave it out of the task, "
          "and change it by hand with a console at hand",
          p.print());
  const Parameters running = text::parse_kernel_cmdline(facts.cmdline.value_or(""));
  for (const KernelParameter& p : after)
    if (p.key == "root" && !holds(outcome.before, p) && !holds(running, p))
      return fmt::format(
          "'{}' is another root file system than this host runs from; leave it out of the task, and change it by hand with a "
          "console at hand",
          p.print());
  for (const KernelParameter& p : outcome.before)
    if (p.key == "hugepages" && !holds(after, p) && !holds(unwanted(outcome.before, wish), p))
      return fmt::format("'{}' would count pages of another size without its hugepagesz={}; name both, in this order", p.print(), p.size);
  for (const KernelParameter& p : wish.present)
    if (p.key == "hugepages" && !text::in_force(after, p))
      return fmt::format(
          "'{}' behind the hugepagesz= that is on the command line would count pages of that size; write the hugepagesz= that "
          "is meant before it",
          p.print());
  if (outcome.longer && outcome.length > longest)
    return fmt::format("the command line would have {} characters, and the kernel takes {}; take out what is not needed", outcome.length,
                       longest);
  return {};
}

}  // namespace pvegpu::boot
