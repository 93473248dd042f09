#include "nn/check/report_json.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "nn/training/run_json.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

using Json = nlohmann::ordered_json;  // keys keep the order of writing

constexpr std::string_view kSchema = "vktrain-check-1";
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

Json row_object(const CheckRow& row) {
  Json json = {{"group", row.group},     {"operation", row.operation},
               {"variant", row.variant}, {"cases", row.cases},
               {"ulp", nullptr},         {"limit_ulp", nullptr},
               {"relative", nullptr},    {"result", lower_case(row.result)},
               {"why", row.why}};
  if (row.error) {  // infinite is null, too
    json["ulp"] = row.error->ulp;
    json["limit_ulp"] = row.error->limit_ulp;
    json["relative"] = row.error->relative;
  }
  return json;
}

Json device_object(const DeviceReport& report) {
  Json json;
  json["device"] = Json::parse(devices_json({&report.profile, 1})).at(0);
  json["summary"] = {{"rows", report.rows.size()},
                     {"passed", report.count(CheckResult::pass)},
                     {"failed", report.count(CheckResult::fail)},
                     {"skipped", report.count(CheckResult::skipped)},
                     {"info", report.count(CheckResult::info)},
                     {"seconds", std::round(report.seconds)}};
  json["rows"] = Json::array();
  for (const CheckRow& row : report.rows) json["rows"].push_back(row_object(row));
  json["losses"] = Json::object();
  for (const auto& [name, losses] : report.losses) json["losses"][name] = losses;
  return json;
}

double number(const Json& json) {
  return json.is_null() ? std::numeric_limits<double>::infinity() : json.get<double>();
}

CheckResult result_of(const std::string& text) {
  for (const CheckResult result : {CheckResult::pass, CheckResult::fail, CheckResult::skipped,
                                   CheckResult::info, CheckResult::not_run}) {
    if (text == lower_case(result)) return result;
  }
  throw Error(fmt::format("a row's result is \"{}\", expected pass, fail, skipped or info", text));
}

CheckRow saved_row(const Json& json) {
  CheckRow row;
  json.at("group").get_to(row.group);
  json.at("operation").get_to(row.operation);
  json.at("variant").get_to(row.variant);
  json.at("cases").get_to(row.cases);
  json.at("why").get_to(row.why);
  row.result = result_of(json.at("result").get<std::string>());
  // A limit is always finite.
  if (!json.at("limit_ulp").is_null()) {
    row.error = CheckError{.ulp = number(json.at("ulp")),
                           .limit_ulp = number(json.at("limit_ulp")),
                           .relative = number(json.at("relative"))};
  }
  return row;
}

std::map<std::string, std::string> texts_of(const Json& json) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : json.items()) {
    texts[key] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return texts;
}

SavedReport report_of(const Json& json) {
  SavedReport report;
  report.profile = texts_of(json.at("device"));
  json.at("device").at("name").get_to(report.device);
  for (const Json& row : json.at("rows")) report.rows.push_back(saved_row(row));
  for (const auto& [name, losses] : json.at("losses").items()) {
    std::vector<double>& values = report.losses.emplace_back(name, std::vector<double>()).second;
    for (const Json& loss : losses) values.push_back(number(loss));
  }
  return report;
}

}  // namespace

std::string check_json(const ProgramInfo& program, std::uint64_t seed,
                       std::span<const DeviceReport> reports) {
  Json json;
  json["schema"] = kSchema;
  json["program"] = {{"name", "vktrain"},
                     {"version", program.version},
                     {"commit", program.commit.empty() ? Json(nullptr) : Json(program.commit)}};
  json["seed"] = seed;
  json["devices"] = Json::array();
  for (const DeviceReport& report : reports) json["devices"].push_back(device_object(report));
  // Names and messages of drivers may hold bytes that are not UTF-8.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

SavedCheck parse_check_json(const std::string& text, const std::string& subject) {
  std::string problem;
  try {
    const Json json = Json::parse(text);
    if (json.at("schema") != kSchema) {
      throw Error(
          fmt::format("its schema is {}, expected \"{}\"", json.at("schema").dump(), kSchema));
    }
    SavedCheck check;
    check.program = texts_of(json.at("program"));
    check.seed = json.at("seed").dump();
    for (const Json& device : json.at("devices")) check.devices.push_back(report_of(device));
    return check;
  } catch (const nlohmann::json::exception& error) {
    problem = error.what();
  } catch (const Error& error) {
    problem = error.what();
  }
  throw Error(fmt::format(
      "'{}' is no report of vktrain check ({}); make one with vktrain check --format json", subject,
      problem));
}

SavedCheck read_check_json(const std::filesystem::path& file) {
  return parse_check_json(read_text_file(file, kMostBytes), file.string());
}

}  // namespace vktrain::nn
