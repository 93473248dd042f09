// TOML values on their way in and out: a node with the name and place that messages need, and the
// text of values. Private to nn/experiment.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/error.h"

namespace vktrain::nn {

// A node of a parsed text. The text's table must outlive it.
struct TomlValue {
  const toml::node* node = nullptr;
  std::string subject;  // what messages call it: "optimizer.learning_rate"
  std::string source;   // the file's name; empty for a value of the command line

  // Throws UsageError: "FILE:LINE: SUBJECT must be EXPECTED, but it is VALUE."
  [[noreturn]] void fail(std::string_view expected) const;
  // The same with another sentence in place of "must be ...".
  [[noreturn]] void fail_with(std::string_view sentence) const;

  TomlValue element(std::size_t index) const;  // of an array

  bool is_text() const { return node->is_string(); }
  const std::string& text() const { return node->as_string()->get(); }
};

// "FILE:LINE: ", or "" without a file.
std::string place_of(std::string_view source, const toml::source_region& region);

// "a, which is unknown; did you mean 'b'?" as the end of a sentence that ends with a stop or mark.
std::string unknown_name(std::string_view kind, std::string_view name,
                         std::span<const std::string> known);

// Parses a whole text. Throws UsageError with the line of the first mistake.
toml::table parse_toml(std::string_view text, std::string_view source);

enum class ValueShape { value, text, list };

// The text of one value as a person types it on a command line, in a table under the key "value":
// a text may lack its quotes, a list its brackets.
toml::table parse_value(std::string_view text, ValueShape shape, std::string_view subject);

// TOML texts. Numbers are the shortest that read back to the same value, in any locale.
std::string quoted(std::string_view text);
std::string number(double value);
std::string number(std::int64_t value);
std::string number(std::uint64_t value);

}  // namespace vktrain::nn
