-- One kind of request for wrk. Arguments: method, path, body, token, spread. "%d" in path and body counts requests, so that writes and
-- reads go over many secrets.
local method, path, body, token, spread
local count = 0

function init(arguments)
  method, path, body, token = arguments[1], arguments[2], arguments[3], arguments[4]
  spread = tonumber(arguments[5]) or 1
  wrk.headers["X-Vault-Token"] = token
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  count = count + 1
  local number = tostring(count % spread)
  return wrk.format(method, (path:gsub("%%d", number)), nil, body ~= "" and (body:gsub("%%d", number)) or nil)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %.0f %.2f %d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
