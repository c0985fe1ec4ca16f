// SPDX-License-Identifier: MIT
// A line of grub.cfg as GRUB reads it (grub-core/script/yylex.l, execute.c), and what its Linux loader makes of the arguments
// (grub-core/lib/cmdline.c). Debian's GRUB 2.04 to 2.12 do not differ here.
#pragma once

#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::text {

/// One simple command.
struct GrubCommand {
  std::vector<std::string> arguments;  ///< the command's name is the first of them
  std::size_t end = 0;                 ///< where it ends: at the end of the text, or at the character that ends it
  bool open = false;                   ///< a quote is not closed, or a backslash is the last character
};
/// The first command of `text`. `;`, `&`, `|`, `<`, `>`, braces and line breaks end it; variables are empty, as those of a menu are.
GrubCommand parse_grub_command(std::string_view text);

/// The command line that the Linux loader gives to the kernel for these arguments: quoted where they have blanks, with a backslash
/// before each backslash and quote, which the kernel does not take away again.
std::string loader_cmdline(const std::vector<std::string>& arguments);

/// The parameters that the kernel gets from `text` in a menu's `linux` line.
std::vector<KernelParameter> parse_grub_words(std::string_view text);

/// A parameter so that GRUB gives the kernel exactly this one.
std::string print_grub_word(const KernelParameter& parameter);
/// Why that can't be: the character that GRUB can't give to the kernel, in words. Empty: it can.
std::string not_for_grub(const KernelParameter& parameter);

}  // namespace pvegpu::text
