-- wrk: as many requests at once as the first argument says.
function init(args)
  local requests = {}
  for i = 1, tonumber(args[1]) do requests[i] = wrk.format() end
  all = table.concat(requests)
end

function request()
  return all
end
