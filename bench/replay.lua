-- Sends the requests of a plan (see plan.py) and prints the figures of wrk as one line of JSON.
--   wrk ... -s replay.lua URL -- PLAN

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long s; long ns; } moment;
int clock_gettime(int clock, moment *now);
int getpid(void);
int kill(int pid, int signal);
]]
local MONOTONIC, SIGINT = 1, 2
local LAST_ANSWER_TIMEOUT_MS = 5000
local MARK = "\127"

local threads = {}
function setup(thread) table.insert(threads, thread) end

local now = ffi.new("moment")
local function seconds()
   ffi.C.clock_gettime(MONOTONIC, now)
   return tonumber(now.s) + tonumber(now.ns) / 1e9
end

local function split(text)
   local parts, from = {}, 1
   while true do
      local at = text:find(MARK, from, true)
      parts[#parts + 1] = text:sub(from, (at or #text + 1) - 1)
      if not at then return parts end
      from = at + 1
   end
end

local calls, digits, filler = {}, {}, nil
local finish, limit, serial, count
issued, began, ended = 0, 0, 0
local probed, past = false, false

-- Only plans of the kind "fill" install these callbacks, because wrk then parses every answer.
local function fill()
   local granted, answered = 0, 0
   -- wrk asks before each request how many milliseconds the connection must wait. After the last
   -- request, the pause leaves time for the answers. A lost answer never comes; then the filler,
   -- sent after the pause, ends the run.
   function delay()
      granted = granted + 1
      return granted <= limit and 0 or LAST_ANSWER_TIMEOUT_MS
   end
   function response()
      answered = answered + 1
      if answered == limit or past then finished() end
   end
end

function finished()
   if ended > 0 then return end
   ended = seconds()
   -- SIGINT ends the run early, and wrk still prints its figures.
   ffi.C.kill(ffi.C.getpid(), SIGINT)
end

function init(arguments)
   local file = assert(io.open(arguments[1], "rb"))
   finish = file:read("*l")
   limit, serial, count = file:read("*l"):match("(%d+) (%d+) (%d+)")
   limit, serial, count = tonumber(limit), tonumber(serial), tonumber(count)
   for group in file:read("*l"):gmatch("%S+") do digits[#digits + 1] = group end
   for number = 0, count do
      local text = file:read(tonumber(file:read("*l")))
      file:read(1)
      local parts = split(text)
      local call = #parts == 1 and text or parts
      if number == 0 then filler = call else calls[number] = call end
   end
   file:close()
   if finish == "cycle" then limit = math.huge end
   if finish == "fill" then fill() end
end

function request()
   if not probed then
      -- wrk calls `request` once in advance, as a test, and does not send the result.
      probed = true
      return filler
   end
   if issued == 0 then began = seconds() end
   if issued >= limit then
      if finish == "stop" then
         wrk.thread:stop()
         finished()
      end
      past = true
      return filler
   end
   local call = calls[issued % count + 1]
   issued = issued + 1
   if type(call) == "string" then return call end
   local spelled = digits[math.floor(serial / 1000000) % 1000 + 1]
      .. digits[math.floor(serial / 1000) % 1000 + 1] .. digits[serial % 1000 + 1]
   serial = serial + 1
   return table.concat(call, spelled)
end

function done(summary, latency)
   local thread = threads[1]
   local took = summary.duration / 1e6
   if thread:get("ended") > 0 then took = thread:get("ended") - thread:get("began") end
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "issued": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "p999_us": %d, '
      .. '"max_us": %d, "refused": %d, "broken": %d}\n',
      summary.requests, thread:get("issued"), took, latency:percentile(50),
      latency:percentile(99), latency:percentile(99.9), latency.max, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout))
end
