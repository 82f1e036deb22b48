-- Runs once in a new state with all of Lua's libraries and makes what scripts see. Returns (compile, call, tidy).
-- Scripts never see this state's globals: each call has an environment and libraries of its own, made of those in `safe`.
local modules, refused = ...
local loadstring, setfenv, clock, collectgarbage = loadstring, setfenv, os.clock, collectgarbage
local sethook, getinfo, here = debug.sethook, debug.getinfo, debug.getinfo(1, "S").source
local error, next, pairs, pcall, select, tostring, type, unpack = error, next, pairs, pcall, select, tostring, type, unpack
local format, gsub, byte, concat, insert, maxn = string.format, string.gsub, string.byte, table.concat, table.insert, table.maxn
local floor, huge, strings = math.floor, math.huge, getmetatable("")
local CHECK = 10000 -- instructions between two looks at the clock
local RESULTS = 7000 -- of one call: Lua's stack has 8000 places for a function in C
local PATTERN = 1000 -- bytes: each part of a pattern takes some of the C stack
local DEPTH = 200 -- of what a script answers

local function copied(library, names)
  local copy = {}
  for name in names:gmatch("%S+") do copy[name] = library[name] end
  return copy
end

local safe = copied(_G, "assert error ipairs next pairs pcall select tonumber tostring type unpack _VERSION")
safe.table = copied(table, "concat getn insert maxn remove sort")
safe.string = copied(string, "byte char find format gmatch len lower match reverse sub upper")
safe.os = copied(os, "date time")
safe.math = {}
for name, value in pairs(math) do safe.math[name] = value end
for name in string.gmatch("dump gsub rep", "%S+") do
  safe.string[name] = function()
    error("The Lua function string." .. name .. " is not supported by Karmada. If you believe this function is essential for "
      .. "your use case, please submit an issue to let us know why you need it.", 2)
  end
end
safe.print = function() end
-- Lua's own runs the handler inside of the hook that stops a script, where no hook stops the handler.
safe.xpcall = function(called, handler)
  local results = {pcall(called)}
  if results[1] then return unpack(results, 1, maxn(results)) end
  return false, handler(results[2])
end

-- Functions in C that believe the counts they are given, or recurse as deep as they are told.
local function counted(value, position, called)
  local number = tonumber(value)
  if not number or number ~= number then
    local got = number and "nan" or type(value)
    error(format("bad argument #%d to '%s' (number expected, got %s)", position, called, got), 3)
  end
  return number
end
safe.unpack = function(list, first, last)
  if type(list) ~= "table" then
    error("bad argument #1 to 'unpack' (table expected, got " .. (list == nil and "no value" or type(list)) .. ")", 2)
  end
  first = first == nil and 1 or counted(first, 2, "unpack")
  last = last == nil and #list or counted(last, 3, "unpack")
  if first > last then return end
  if last - first >= RESULTS or first < -2^31 or last >= 2^31 then error("too many results to unpack", 2) end
  return unpack(list, first, last)
end
safe.table.insert = function(list, ...)
  if select("#", ...) ~= 2 or type(list) ~= "table" then return insert(list, ...) end
  local position, value = ...
  position = counted(position, 2, "insert")
  if position >= 1 and position <= #list then return insert(list, position, value) end
  list[position] = value -- nothing is in the way; Lua's own would move all that is not there
end
for name in string.gmatch("find gmatch match", "%S+") do
  local called = string[name]
  safe.string[name] = function(text, pattern, ...)
    if type(pattern) == "string" and #pattern > PATTERN then error("pattern is longer than " .. PATTERN .. " bytes", 2) end
    return called(text, pattern, ...)
  end
end
-- Where things are in memory is nobody's business.
safe.tostring = function(...)
  local kind = type((...))
  if kind == "table" or kind == "function" or kind == "userdata" then return kind end
  return tostring(...)
end
for name in string.gmatch(refused, "%S+") do
  safe[name] = function()
    error("call function " .. name .. " is not supported in karmada customized resourceinterpreter.", 2)
  end
end

-- A table as JSON, with gopher-json's rules: keys 1..n make a list, strings an object, no table twice.
local escapes = {['"'] = '\\"', ["\\"] = "\\\\"}
local function escaped(char) return escapes[char] or format("\\u%04x", byte(char)) end

local encode
local function encode_list(value, visited, out, depth)
  local length = 0
  for key in pairs(value) do
    if type(key) ~= "number" then error("cannot encode mixed or invalid key types", 0) end
    length = length + 1
  end
  out[#out + 1] = "["
  for index = 1, length do
    if value[index] == nil then error("cannot encode sparse array", 0) end
    if index > 1 then out[#out + 1] = "," end
    encode(value[index], visited, out, depth)
  end
  out[#out + 1] = "]"
end

local function encode_object(value, visited, out, depth)
  local separator = "{"
  for key, each in pairs(value) do
    if type(key) ~= "string" then error("cannot encode mixed or invalid key types", 0) end
    out[#out + 1] = separator .. '"' .. gsub(key, '[%c"\\]', escaped) .. '":'
    encode(each, visited, out, depth)
    separator = ","
  end
  out[#out + 1] = "}"
end

encode = function(value, visited, out, depth)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = '"' .. gsub(value, '[%c"\\]', escaped) .. '"'
  elseif kind == "number" then
    if value ~= value or value == huge or value == -huge then error("json: unsupported value: " .. tostring(value), 0) end
    local whole = value == floor(value) and value < 1e21 and value > -1e21
    out[#out + 1] = format(whole and "%.0f" or "%.17g", value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "nil" then
    out[#out + 1] = "null"
  elseif kind ~= "table" then
    error("cannot encode " .. kind .. " to JSON", 0)
  else
    if visited[value] then error("cannot encode recursively nested tables to JSON", 0) end
    if depth == DEPTH then error("cannot encode tables nested deeper than " .. DEPTH .. " to JSON", 0) end
    visited[value] = true
    local first = next(value)
    if first == nil then
      out[#out + 1] = "[]"
    elseif type(first) == "number" then
      encode_list(value, visited, out, depth + 1)
    else
      encode_object(value, visited, out, depth + 1)
    end
  end
end

local function encoded(value)
  local out = {}
  encode(value, {}, out, 0)
  return concat(out)
end

-- What scripts get by require: functions of the host take JSON and answer (true, value) or (false, message).
local loaded = {}
for name, functions in pairs(modules) do
  loaded[name] = {}
  for called, host in pairs(functions) do
    loaded[name][called] = function(...)
      local arguments = {}
      for index = 1, select("#", ...) do arguments[index] = encoded((select(index, ...))) end
      local fine, value = host(concat(arguments, ","))
      if not fine then error(value, 2) end
      return value
    end
  end
end

local function copy(library)
  local made = {}
  for name, value in pairs(library) do made[name] = value end
  return made
end

-- What one call sees. What a script changes of it the next call does not see.
local function fresh()
  local environment, modules = copy(safe), {}
  for name, value in pairs(environment) do
    if type(value) == "table" then environment[name] = copy(value) end
  end
  for name, module in pairs(loaded) do modules[name] = copy(module) end
  environment.require = function(name) return modules[name] or error("module " .. tostring(name) .. " not found", 2) end
  environment._G = environment
  strings.__index = environment.string
  return environment
end

local function compile(script, name) return loadstring(script, "=" .. name) end

local function run(chunk, environment, called, ...)
  chunk()
  local found = environment[called]
  if found == nil then error("not found function " .. called, 0) end
  if type(found) ~= "function" then error(called .. " is not a function: " .. type(found), 0) end
  return {found(...)}
end

-- (true, type, JSON, type, JSON, ...) or (false, message). The host takes the hook off again.
local function call(chunk, called, wanted, seconds, ...)
  local environment = fresh()
  setfenv(chunk, environment)
  local deadline = clock() + seconds
  local function check()
    if clock() > deadline then
      sethook(check, "", 1) -- nothing the script may catch this with gets any further
      if getinfo(2, "S").source ~= here then error("the script ran longer than " .. seconds .. " s", 2) end
    end
  end
  sethook(check, "", CHECK)
  local fine, results = pcall(run, chunk, environment, called, ...)
  if not fine then
    -- an argument that Lua's own function refused, after ours had passed it on
    return false, type(results) == "string" and (gsub(results, '^%[string "prelude"%]:%d+:', "<string>:")) or "error object is a " .. type(results)
  end
  local answers = {}
  for index = 1, wanted do
    local encodable, text = pcall(encoded, results[index])
    if not encodable then return false, "encode lua result to json failed: " .. tostring(text) end
    answers[2 * index - 1], answers[2 * index] = type(results[index]), text
  end
  return true, unpack(answers, 1, 2 * wanted)
end

-- After each call, whatever became of it.
local function tidy()
  sethook()
  strings.__index = safe.string
  collectgarbage()
end

return compile, call, tidy
