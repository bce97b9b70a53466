-- HAProxy runs this on the start of each chat request. HAProxy's own json_query finds neither the last element of a
-- list nor characters written as \uXXXX, which is how Python's json module writes Chinese.
--
-- txn.asked    the last user message: its first and last PART bytes, for a pasted report has its question at an end
-- txn.earlier  the user messages before it, the same way: a follow-up says little by itself
-- txn.user     the request's `user`, where the client sent no header that says who asks
--
-- A body that is not whole (longer than the buffer) or not JSON sets none of them.

local json = require("cjson.safe")

local PART = 2000 -- bytes; keeps the rule's cost below a millisecond whatever is pasted

local function ends(text)
    if #text <= 2 * PART then
        return text
    end
    return text:sub(1, PART) .. "\n" .. text:sub(-PART)
end

local function text_of(content)
    if type(content) == "string" then
        return content
    end
    local parts = {}
    if type(content) == "table" then
        for _, part in ipairs(content) do
            if type(part) == "table" and type(part.text) == "string" then
                parts[#parts + 1] = part.text
            end
        end
    end
    return table.concat(parts, "\n")
end

core.register_action("read_question", { "http-req" }, function(txn)
    local request = json.decode(txn.sf:req_body())
    if type(request) ~= "table" then
        return
    end
    if type(request.user) == "string" and request.user ~= "" and not txn:get_var("txn.user") then
        txn:set_var("txn.user", request.user)
    end
    local said = {}
    if type(request.messages) == "table" then
        for _, message in ipairs(request.messages) do
            if type(message) == "table" and message.role == "user" then
                said[#said + 1] = text_of(message.content)
            end
        end
    elseif type(request.prompt) == "string" then
        said[1] = request.prompt
    end
    if #said > 0 then
        txn:set_var("txn.asked", ends(table.remove(said)))
        txn:set_var("txn.earlier", ends(table.concat(said, "\n")))
    end
end)
