-- Every stored call for help of the last hours is looked at again when a worker starts, however old its own clock says it is.
CREATE INDEX fixes_alarm ON fixes (received) WHERE flags & 33 <> 0;  -- Flag.SOS | Flag.MAN_DOWN
